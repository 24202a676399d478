// Files of backups: anything as a whole file, and anything as an archive under a right checksum.
#include <string>

#include "backup/backup_file.hpp"
#include "base/assert.hpp"
#include "crypto/crypto.hpp"

namespace {

namespace backup = warren::backup;

void check(const std::string& file) {
  const auto contents = backup::read(warren::base::as_bytes(file), std::nullopt);
  if (!contents) return;
  for (const backup::File& one : contents->files) WARREN_ASSERT(backup::is_good_name(one.name));
  WARREN_ASSERT(backup::write_plain(*contents) == file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const warren::base::Bytes bytes(data, size);
  if (const auto header = backup::read_header(bytes)) {
    const auto again = backup::read_header(backup::write_header(*header));
    WARREN_ASSERT(again && *again == *header);
  }
  std::string file(reinterpret_cast<const char*>(data), size);
  check(file);
  const auto head = backup::write_header({});
  file.insert(0, reinterpret_cast<const char*>(head.data()), head.size());
  const auto sum = warren::crypto::sha256(warren::base::as_bytes(file));
  file.append(reinterpret_cast<const char*>(sum.data()), sum.size());
  check(file);
  return 0;
}
