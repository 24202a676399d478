#include "client/remotes.hpp"

#include <algorithm>
#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

#include "base/edit_distance.hpp"
#include "client/limits.hpp"
#include "model/admin_token.hpp"
#include "model/conf_key.hpp"
#include "os/file.hpp"

namespace warren::client {
namespace {

using base::ErrorKind;
using base::make_error;

constexpr std::string_view kExtension = ".token";
constexpr std::size_t kMaxName = 63;

}  // namespace

base::Status check_remote_name(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  const bool fine = !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, plain) &&
                    name[0] != '-' && name[0] != '.' && name != kLocal;
  if (fine) return {};
  return make_error(
      ErrorKind::Invalid, "'" + name.substr(0, kMaxName) + "' cannot name a remote",
      name == kLocal ? "local is this host's own daemon" : "use a-z, 0-9, '-' and '.'");
}

base::Status Remotes::add(const Remote& remote) const {
  WARREN_TRY(check_remote_name(remote.name));
  const std::string file = file_of(remote.name);
  if (::access(file.c_str(), F_OK) == 0) {
    return make_error(ErrorKind::Conflict, "there is a remote '" + remote.name + "' already",
                      "choose another name, or delete it: warren remote delete " + remote.name);
  }
  WARREN_TRY(os::make_directories(directory_, 0700));
  std::string text = model::write_admin_token(remote.access) + "\n";
  auto written = os::write_file_atomically(file, text, 0600);
  model::wipe_text(text);
  return written;
}

base::Result<Remote> Remotes::read(const std::string& name) const {
  WARREN_TRY(check_remote_name(name));
  const std::string file = file_of(name);
  struct stat there{};
  if (::stat(file.c_str(), &there) != 0) {
    WARREN_TRY_ASSIGN(const std::vector<std::string> known, list());
    const auto near = std::ranges::min_element(
        known, {}, [&](const std::string& one) { return base::edit_distance(one, name); });
    return make_error(ErrorKind::NotFound, "there is no remote '" + name + "'",
                      near == known.end() ? "add it: warren remote add " + name
                                          : "did you mean '" + *near + "'?");
  }
  if ((there.st_mode & 077) != 0) {
    return make_error(ErrorKind::NotPermitted, file + " holds a secret and others can read it",
                      "chmod 600 " + file + ", and have another token made");
  }
  WARREN_TRY_ASSIGN(std::string text, os::read_file(file, kMaxNoteBytes));
  auto access = model::parse_admin_token(text);
  model::wipe_text(text);
  if (!access) return std::move(access).error().within("read " + file);
  return Remote{.name = name, .access = std::move(*access)};
}

base::Result<std::vector<std::string>> Remotes::list() const {
  namespace fs = std::filesystem;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory_, error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().extension() == kExtension) names.push_back(at->path().stem().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return base::os_error("list " + directory_, error.value());
  }
  std::ranges::sort(names);
  return names;
}

base::Status Remotes::remove(const std::string& name) const {
  if (const auto known = read(name); !known && known.error().kind == ErrorKind::NotFound) {
    return known.error();
  }
  if (::unlink(file_of(name).c_str()) != 0) return base::os_error("remove " + file_of(name));
  if (current() == name) ::unlink(current_file().c_str());
  return {};
}

std::string Remotes::current() const {
  auto text = os::read_file(current_file(), kMaxNoteBytes);
  if (!text) return {};
  while (text->ends_with('\n')) text->pop_back();
  return *text;
}

base::Status Remotes::use(const std::string& name) const {
  if (name == kLocal) {
    if (::unlink(current_file().c_str()) == 0 || errno == ENOENT) return {};
    return base::os_error("remove " + current_file());
  }
  WARREN_TRY_ASSIGN(const Remote remote, read(name));
  return os::write_file_atomically(current_file(), remote.name + "\n", 0600);
}

}  // namespace warren::client
