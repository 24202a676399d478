#include "os/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace warren::os {

using base::ErrorKind;
using base::make_error;
using base::os_error;

namespace {

constexpr mode_t kParentMode = 0755;
constexpr std::size_t kReadStep = 16384;

base::Status write_all(const Fd& file, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t done = write(file.get(), content.data(), content.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return os_error("write " + path);
    content.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

base::Status sync_directory(const std::string& path) {
  const Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return os_error("open " + path);
  if (fsync(directory.get()) < 0) return os_error("sync " + path);
  return {};
}

base::Status fill_and_rename(const Fd& file, const std::string& temporary, const std::string& path,
                             std::string_view content, mode_t mode) {
  WARREN_TRY(write_all(file, content, temporary));
  if (fchmod(file.get(), mode) < 0) return os_error("set the mode of " + temporary);
  if (fsync(file.get()) < 0) return os_error("sync " + temporary);
  if (rename(temporary.c_str(), path.c_str()) < 0)
    return os_error("rename " + temporary + " to " + path);
  return {};
}

}  // namespace

base::Result<std::string> read_file(const std::string& path, std::size_t max) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return os_error("read " + path);
  std::string content;
  while (true) {
    const std::size_t before = content.size();
    content.resize(before + kReadStep);
    const ssize_t got = read(file.get(), content.data() + before, kReadStep);
    content.resize(before + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error("read " + path);
    if (got == 0) return content;
    if (content.size() > max)
      return make_error(ErrorKind::Invalid,
                        "read " + path + ": larger than " + std::to_string(max) + " bytes");
  }
}

base::Status write_file_atomically(const std::string& path, std::string_view content, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  const Fd file(mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return os_error("create a file beside " + path);
  if (base::Status written = fill_and_rename(file, temporary, path, content, mode); !written) {
    unlink(temporary.c_str());
    return written;
  }
  return sync_directory(parent_of(path));
}

base::Status write_existing(const std::string& path, std::string_view content) {
  const Fd file(open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!file) return os_error("write " + path);
  const ssize_t done = write(file.get(), content.data(), content.size());
  if (done < 0) return os_error("write " + path);
  if (static_cast<std::size_t>(done) != content.size()) return os_error("write " + path, ENOSPC);
  return {};
}

base::Status make_directories(const std::string& path, mode_t mode) {
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end < path.size() && path[end] != '/') continue;
    const std::string part = path.substr(0, end);
    const bool last = path.find_first_not_of('/', end) == std::string::npos;
    const mode_t wanted = last ? mode : kParentMode;
    if (mkdir(part.c_str(), wanted) == 0) {
      if (chmod(part.c_str(), wanted) < 0) return os_error("set the mode of " + part);
    } else if (const int why = errno; true) {
      struct stat there{};
      if (stat(part.c_str(), &there) < 0) return os_error("create directory " + part, why);
      if (!S_ISDIR(there.st_mode)) return os_error("create directory " + part, ENOTDIR);
    }
    if (last) break;
  }
  return {};
}

namespace {

base::Error lock_conflict(const std::string& path) {
  std::string holder;
  if (auto text = read_file(path, 4096)) {
    const auto number = base::parse_number(text->substr(0, text->find('\n')), 1, 1U << 30);
    if (number) holder = std::to_string(*number);
  }
  base::Error error =
      make_error(ErrorKind::Conflict, "lock " + path + ": it is held already",
                 holder.empty() ? "another process holds it: stop that one first"
                                : "process " + holder + " holds it: stop that one first");
  error.os_errno = EWOULDBLOCK;
  return error;
}

bool same_file(const Fd& file, const std::string& path) {
  struct stat open_one{};
  struct stat named{};
  return fstat(file.get(), &open_one) == 0 && stat(path.c_str(), &named) == 0 &&
         open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

}  // namespace

base::Result<Fd> lock_file(const std::string& path) {
  Fd file;
  do {  // a holder may have removed the file while we waited to open it: lock the one that stays
    file = Fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return os_error("open the lock " + path);
    if (flock(file.get(), LOCK_EX | LOCK_NB) < 0) {
      if (errno == EWOULDBLOCK) return lock_conflict(path);
      return os_error("lock " + path);
    }
  } while (!same_file(file, path));
  if (ftruncate(file.get(), 0) < 0) return os_error("write " + path);
  WARREN_TRY(write_all(file, std::to_string(getpid()) + "\n", path));
  return file;
}

base::Result<Fd> memory_file(const std::string& name, std::size_t size) {
  Fd file(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return os_error("create memory file " + name);
  if (ftruncate(file.get(), static_cast<off_t>(size)) < 0)
    return os_error("size memory file " + name);
  if (fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
    return os_error("seal memory file " + name);
  return file;
}

base::Result<Mapping> Mapping::create(const Fd& descriptor) {
  struct stat there{};
  if (fstat(descriptor.get(), &there) < 0) return os_error("look at a file to map");
  if (there.st_size <= 0) return make_error(ErrorKind::Invalid, "map a file: it is empty");
  const auto size = static_cast<std::size_t>(there.st_size);
  void* start = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
  if (start == MAP_FAILED) return os_error("map a file");
  Mapping mapping;
  mapping.bytes_ = {static_cast<std::uint8_t*>(start), size};
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

}  // namespace warren::os
