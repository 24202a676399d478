#include "client/zip_archive.hpp"

#include <memory>

#include <archive.h>
#include <archive_entry.h>

namespace warren::client {
namespace {

la_ssize_t append(::archive*, void* out, const void* bytes, std::size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

base::Error failed(::archive* writer) {
  const char* why = ::archive_error_string(writer);
  return base::make_error(base::ErrorKind::Failed,
                          std::string("write the archive: ") + (why == nullptr ? "?" : why));
}

}  // namespace

base::Result<std::string> write_zip(const std::vector<ZipEntry>& entries, base::WallTime changed) {
  std::string out;
  const std::unique_ptr<::archive, int (*)(::archive*)> writer(::archive_write_new(),
                                                               ::archive_write_free);
  ::archive* const zip = writer.get();
  if (zip == nullptr) return base::make_error(base::ErrorKind::Failed, "write the archive: memory");
  const bool ready = ::archive_write_set_format_zip(zip) == ARCHIVE_OK &&
                     ::archive_write_set_bytes_in_last_block(zip, 1) == ARCHIVE_OK &&
                     ::archive_write_open(zip, &out, nullptr, append, nullptr) == ARCHIVE_OK;
  if (!ready) return failed(zip);
  for (const ZipEntry& file : entries) {
    const std::unique_ptr<::archive_entry, void (*)(::archive_entry*)> entry(::archive_entry_new(),
                                                                             ::archive_entry_free);
    ::archive_entry_set_pathname(entry.get(), file.path.c_str());
    ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
    ::archive_entry_set_filetype(entry.get(), AE_IFREG);
    ::archive_entry_set_perm(entry.get(), file.mode);
    ::archive_entry_set_mtime(entry.get(), changed.seconds(), 0);
    const bool written = ::archive_write_header(zip, entry.get()) == ARCHIVE_OK &&
                         ::archive_write_data(zip, file.content.data(), file.content.size()) ==
                             static_cast<la_ssize_t>(file.content.size());
    if (!written) return failed(zip);
  }
  if (::archive_write_close(zip) != ARCHIVE_OK) return failed(zip);
  return out;
}

}  // namespace warren::client
