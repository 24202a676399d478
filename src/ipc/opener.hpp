// The opener protocol: how an engine, which may create no descriptor, gets its descriptors.
//
// One message per datagram on a SOCK_SEQPACKET unix socket pair; descriptors travel as SCM_RIGHTS
// beside the message (sent and received by os::UnixSocket). The engine asks, the opener answers
// with the same `sequence`; the opener may also send notices (sequence 0). All integers are
// little-endian; the layout is in docs/formats/opener.md. Pure: bytes in, values out.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::ipc {

inline constexpr std::uint16_t kOpenerVersion = 3;
/// The inherited descriptor of the engine's end.
inline constexpr int kOpenerFd = 3;
inline constexpr std::size_t kMaxOpenerMessage = 4096;
/// Bounds of a Report: with all of them reached it still fits into a message.
inline constexpr std::size_t kMaxReportFeatures = 255;
inline constexpr std::size_t kMaxReportCounters = 72;
inline constexpr std::size_t kMaxReportName = 40;
/// No opener offers more; it offers fewer on a smaller machine.
inline constexpr unsigned kMaxWorkers = 16;

// --- engine to opener ---

/// First message of the engine. Answer: HelloReply with, as descriptors, in this order: the tun,
/// the listening socket of the standard userspace API, the listening SEQPACKET socket of the
/// extension (absent where `extension` is false), the hints memfd (absent where `hints` is false).
struct Hello {
  std::uint16_t version = kOpenerVersion;
};
/// Opens a pair of UDP sockets on one port. Answer: OpenUdpReply, descriptors in the order v4, v6
/// (a family the host lacks is left out and named in the reply).
struct OpenUdp {
  std::uint16_t port = 0;  ///< 0: the kernel chooses, the same for both families
  std::uint32_t mark = 0;  ///< SO_MARK; 0 = none
};
/// What one more worker of the engine needs. Answer: OpenWorkerReply with, as descriptors, in this
/// order: a further queue of the tun (absent where `queue` is false; offloads as in HelloReply),
/// the UDP sockets v4, v6 that share the port of the last OpenUdp (each absent where its flag is
/// false). The opener keeps none of them, so neither a later OpenUdp nor SetMark reaches these
/// sockets: the worker asks for new ones then, without a queue.
struct OpenWorker {
  std::uint16_t port = 0;  ///< of the last OpenUdpReply; another is answered with EINVAL
  std::uint32_t mark = 0;
  bool queue = true;
};
/// Changes SO_MARK of the open sockets (needs privilege, hence the opener's job). Answer: Done.
struct SetMark {
  std::uint32_t mark = 0;
};

/// Notice, sequence 0, no answer: what the engine uses and what it has counted since it started.
/// All text is printable ASCII.
struct Report {
  struct Counter {
    std::string name;  ///< not empty
    std::uint64_t value = 0;
    bool operator==(const Counter&) const = default;
  };
  std::string features;
  std::vector<Counter> counters;
  bool operator==(const Report&) const = default;
};

// --- opener to engine ---

struct HelloReply {
  std::uint16_t version = kOpenerVersion;
  std::string interface_name;  ///< as `wg show` names it
  std::uint16_t mtu = 1420;    ///< the tun's MTU
  bool extension = false;
  bool hints = false;
  bool exit_with_opener = true;   ///< end when the opener's socket closes (a run, the drop-in)
  std::uint8_t tun_offloads = 0;  ///< os::TunOffloads as a byte: six bits
  std::uint8_t max_workers = 1;   ///< at least 1; that many queues and pairs of sockets may be had
};
struct OpenUdpReply {
  int error = 0;  ///< errno; 0 = opened
  std::uint16_t port = 0;
  bool has_v4 = false;
  bool has_v6 = false;
};
struct OpenWorkerReply {
  int error = 0;  ///< errno; 0 = opened
  bool has_v4 = false;
  bool has_v6 = false;
};
struct Done {
  int error = 0;  ///< errno
};
/// Notice: the tun's link changed.
struct LinkChanged {
  bool up = true;
  std::uint16_t mtu = 1420;
};
/// Notice: the host's addresses or routes changed.
struct NetworkChanged {};
/// Notice: wipe and end.
struct Shutdown {};

// --- engine to a new opener, over the extension socket ---

/// First message on a connection that the engine accepted on its extension socket: from now on the
/// connecting process is the opener. Beside it, in this order, everything a successor of the engine
/// would need: the tun, the listening socket of the userspace API, that of the extension, the hints
/// memfd (absent where `hints` is false), the UDP sockets v4, v6 (each absent where its flag is
/// false). Sequence 0, no answer. A connection made while the former opener lives is closed
/// instead.
struct Adopted {
  std::uint16_t version = kOpenerVersion;
  std::string interface_name;
  std::uint16_t port = 0;  ///< 0: no UDP socket is open
  std::uint32_t mark = 0;
  bool hints = false;
  bool has_v4 = false;
  bool has_v6 = false;
  std::uint8_t tun_offloads = 0;  ///< as in HelloReply
};

using OpenerBody =
    std::variant<Hello, OpenUdp, SetMark, HelloReply, OpenUdpReply, Done, LinkChanged,
                 NetworkChanged, Shutdown, Adopted, OpenWorker, OpenWorkerReply, Report>;
struct OpenerMessage {
  std::uint32_t sequence = 0;
  OpenerBody body;
};

[[nodiscard]] std::vector<std::uint8_t> write_opener(const OpenerMessage& message);
/// A HelloReply or Adopted of another version than ours tells that version and nothing else.
/// Invalid: unknown type, wrong length, trailing bytes, a string without its end.
[[nodiscard]] base::Result<OpenerMessage> parse_opener(base::Bytes bytes);

}  // namespace warren::ipc
