// The kernel lists sockets in /proc/thread-self/net/{tcp,udp}{,6}, of the namespace of the thread:
//
//     sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout
//     inode
//      0: 00000000:1F90 00000000:0000 0A …
//
// An inode is looked up among the descriptors of all processes only when a port is found taken.
#include "hostnet/port_owner.hpp"

#include <array>
#include <charconv>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

#include "os/file.hpp"

namespace warren::hostnet {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kListening = "0A";
constexpr std::size_t kMaxTable = std::size_t{64} << 20;  // 150 bytes a socket

bool is_zero(std::string_view address_and_port) {
  return address_and_port.find_first_not_of("0:") == std::string_view::npos;
}

/// 127.0.0.0/8 or ::1 as the kernel writes them: words of the machine's byte order, here little.
bool is_loopback(std::string_view address) {
  constexpr std::string_view kLoopback6 = "00000000000000000000000001000000";
  constexpr std::size_t kLength4 = 8;
  return address.size() == kLength4 ? address.substr(6) == "7F" : address == kLoopback6;
}

bool has_port(std::string_view text, std::uint16_t port) {
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value == port;
}

struct Socket {
  std::string inode;
  std::string uid;
};

/// The socket that has the port.
std::optional<Socket> holder(const std::string& table, const model::PublicPort& port) {
  std::istringstream lines(table);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::array<std::string, 10> word;  // up to the inode
    for (std::string& next : word) words >> next;
    const std::string& local = word[1];
    const std::size_t colon = local.find(':');
    if (colon == std::string::npos || !has_port(local.substr(colon + 1), port.port)) continue;
    const bool tcp = port.protocol == model::Protocol::Tcp;
    const bool serves = tcp ? word[3] == kListening : is_zero(word[2]);
    if (serves && !is_loopback(local.substr(0, colon))) return Socket{word[9], word[7]};
  }
  return std::nullopt;
}

/// "nginx (process 812)"; "a program of uid 33" for a caller who may not look into others.
std::string owner_of(const Socket& socket) {
  const std::string wanted = "socket:[" + socket.inode + "]";
  std::error_code error;
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    const std::string pid = process.path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const auto& descriptor : fs::directory_iterator(process.path() / "fd", error)) {
      std::error_code unreadable;
      if (fs::read_symlink(descriptor.path(), unreadable).string() != wanted) continue;
      std::string name = os::read_file((process.path() / "comm").string()).value_or("a program");
      if (name.ends_with('\n')) name.pop_back();
      return name + " (process " + pid + ")";
    }
  }
  return "a program of uid " + socket.uid;
}

}  // namespace

base::Status check_listening(const model::PublicPort& port) {
  const std::string name(model::to_string(port.protocol));
  for (const char* family : {"", "6"}) {
    const std::string path = "/proc/thread-self/net/" + name + family;
    const auto table = os::read_file(path, kMaxTable);
    if (!table && table.error().kind == base::ErrorKind::NotFound) continue;  // no IPv6 here
    if (!table) return table.error();
    const auto socket = holder(*table, port);
    if (!socket) continue;
    return base::make_error(base::ErrorKind::Conflict,
                            "port " + port.to_string() + " belongs to " + owner_of(*socket),
                            "choose another port, or end that program (ss -lntup 'sport = :" +
                                std::to_string(port.port) + "' shows it)");
  }
  return {};
}

}  // namespace warren::hostnet
