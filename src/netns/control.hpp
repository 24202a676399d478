// What supervisor and init say to each other over their SEQPACKET socket pair. Both ends are one
// program, so the layout is private: a type byte, then fields separated by zero bytes.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::netns {

enum class Control : char {
  // init to supervisor
  Tun = 'T',         ///< the namespaces stand; descriptor: the tun
  Failure = 'F',     ///< fields: exit code, error kind, message, hint; init ends
  Started = 'S',     ///< the command runs
  EchoSocket = 'E',  ///< answer to OpenEcho; descriptor: an ICMP socket; field on error: message
  Bare = 'B',        ///< the namespaces stand, without a tun
  AskNet = 'A',      ///< a program inside asks for the tunnel
  Socket = 'P',      ///< answer to OpenSocket; descriptor, or field on error: message
  // supervisor to init
  Go = 'G',          ///< start the command
  Signal = 'K',      ///< field: number
  OpenEcho = 'O',    ///< open an ICMP socket of the echo target's family inside
  StartNet = 'N',    ///< make the tun; answer: Tun or NetFailed
  Change = 'C',      ///< the tun gets another network; fields: write_network()
  Names = 'D',       ///< other name servers; fields: resolv.conf, nsswitch.conf
  Forwarder = 'W',   ///< descriptor: where OpenSocket will be asked
  OpenSocket = 'X',  ///< open a socket inside; field: tcp or udp
  // both ways, and to clients
  NetUp = 'U',      ///< the tunnel is up
  NetFailed = 'V',  ///< fields as of Failure; nothing ends
};

struct ControlMessage {
  Control type = Control::Failure;
  std::vector<std::string> fields;
  os::Fd descriptor;
  bool closed = false;  ///< the other end is gone
};

[[nodiscard]] base::Status send_control(const os::Fd& socket, Control type,
                                        const std::vector<std::string>& fields = {},
                                        const os::Fd* descriptor = nullptr);
[[nodiscard]] base::Result<ControlMessage> receive_control(const os::Fd& socket);

/// The exit code of a failure of our own.
inline constexpr int kOwnFailure = 125;

/// The fields of a Failure, and back.
[[nodiscard]] std::vector<std::string> failure_fields(int exit_code, const base::Error& error);
struct Failure {
  int exit_code = 125;
  base::Error error;
};
[[nodiscard]] Failure read_failure(const ControlMessage& message);

}  // namespace warren::netns
