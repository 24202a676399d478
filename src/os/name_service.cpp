#include "os/name_service.hpp"

#include <nss.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <sstream>
#include <string_view>
#include <utility>

#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "os/stream.hpp"
#include "os/unix_socket.hpp"

namespace warren::os {
namespace {

constexpr const char* kGetent = "/usr/bin/getent";
constexpr base::Duration kPatience = std::chrono::seconds(5);
constexpr std::size_t kMaxLine = 4096;
constexpr std::size_t kMaxSettings = std::size_t{64} << 10;
constexpr std::size_t kMaxDatabase = std::size_t{16} << 20;
/// What asks nobody but the files; systemd's own service does not exist where this does not.
constexpr std::array<std::string_view, 4> kFileServices = {"files", "compat", "db", "systemd"};
constexpr const char* kSystemdUsers = "/run/systemd/userdb";

/// The line whose third field is this number.
std::optional<std::string> line_of_file(const char* path, unsigned id) {
  std::istringstream lines(read_file(path, kMaxDatabase).value_or(""));
  const std::string wanted = std::to_string(id);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t password = line.find(':');
    const std::size_t number = line.find(':', password + 1);
    if (password == std::string::npos || number == std::string::npos) continue;
    if (line.substr(number + 1, line.find(':', number + 1) - number - 1) == wanted) return line;
  }
  return std::nullopt;
}

/// Whether nsswitch.conf lets anything but the host's files answer: else there is nobody to ask.
bool has_directory_service(std::string_view database) {
  std::istringstream lines(read_file("/etc/nsswitch.conf", kMaxSettings).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    if (!(words >> word) || word != std::string(database) + ":") continue;
    if (access(kSystemdUsers, F_OK) == 0) return true;
    while (words >> word) {
      if (word.starts_with('[')) continue;  // [NOTFOUND=return] and the like
      if (std::ranges::find(kFileServices, word) == kFileServices.end()) return true;
    }
  }
  return false;
}

/// What the other end writes until it closes or time is up.
std::string read_line(const Fd& from) {
  std::string text;
  std::array<std::uint8_t, kMaxLine> room;
  const base::Instant deadline = now() + kPatience;
  while (text.size() < kMaxLine && !text.ends_with('\n')) {
    if (!wait_readable(from, deadline - now()).value_or(false)) break;
    const auto got = read_some(from, room);
    if (!got || !*got) break;
    text.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(**got));
  }
  return text;
}

std::optional<std::string> ask(const char* database, unsigned id) {
  if (!has_directory_service(database) || access(kGetent, X_OK) != 0) return std::nullopt;
  auto pair = unix_pair(UnixType::Stream);
  const auto null = open_null();
  if (!pair || !null) return std::nullopt;
  const auto child = spawn({.argv = {kGetent, database, std::to_string(id)},
                            .descriptors = {{1, &pair->second}, {2, &*null}},
                            .die_with_parent = true});
  pair->second.reset();
  if (!child) return std::nullopt;
  std::string line = read_line(pair->first);
  static_cast<void>(send_signal(child->pidfd, SIGKILL));  // one that hangs; others have ended
  static_cast<void>(wait_for(*child));
  if (!line.ends_with('\n')) return std::nullopt;
  line.resize(line.find('\n'));
  return line;
}

}  // namespace

void use_own_name_services() {
  for (const auto& [database, services] :
       {std::pair{"hosts", "files dns"}, {"passwd", "files"}, {"group", "files"}}) {
    static_cast<void>(__nss_configure_lookup(database, services));
  }
}

std::optional<std::string> user_line(unsigned uid) {
  auto line = line_of_file("/etc/passwd", uid);
  return line ? line : ask("passwd", uid);
}

std::optional<std::string> group_line(unsigned gid) {
  auto line = line_of_file("/etc/group", gid);
  return line ? line : ask("group", gid);
}

}  // namespace warren::os
