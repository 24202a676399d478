#include "os/resident.hpp"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace warren::os {
namespace {

/// Only segments that are never written: relocations are applied to writable ones alone, and a page
/// of those would come back without them.
int release_segments(dl_phdr_info* object, std::size_t, void* page_size) {
  const auto page = *static_cast<const std::uintptr_t*>(page_size);
  for (ElfW(Half) index = 0; index < object->dlpi_phnum; ++index) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[index];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t start = (object->dlpi_addr + segment.p_vaddr) / page * page;
    const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    // The kernel's own page among them (vDSO) may be refused: it is no file's.
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader tells addresses as numbers
    static_cast<void>(madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED));
  }
  return 0;
}

}  // namespace

void release_memory() {
  malloc_trim(0);
  auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  dl_iterate_phdr(release_segments, &page);
}

}  // namespace warren::os
