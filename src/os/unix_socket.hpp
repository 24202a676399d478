// Unix sockets with descriptor passing and peer credentials.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

enum class UnixType { Stream, SeqPacket };

/// A connected, close-on-exec pair (blocking).
[[nodiscard]] base::Result<std::pair<Fd, Fd>> unix_pair(UnixType type);
/// Binds and listens, non-blocking, with this mode; replaces a socket file nobody listens on,
/// refuses (Conflict) one that answers and any file that is no socket. The path never has a mode
/// wider than this one.
[[nodiscard]] base::Result<Fd> unix_listen(UnixType type, const std::string& path, mode_t mode);
/// A connected, blocking socket. Waits, without a bound, while the listener's queue is full: for
/// listeners that are trusted to accept.
[[nodiscard]] base::Result<Fd> unix_connect(UnixType type, const std::string& path);
/// A connected, non-blocking socket; error EAGAIN at once when the listener's queue is full.
[[nodiscard]] base::Result<Fd> unix_connect_now(UnixType type, const std::string& path);
/// Accepts one connection, close-on-exec and non-blocking; error EAGAIN when none waits.
[[nodiscard]] base::Result<Fd> unix_accept(const Fd& listener);

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
[[nodiscard]] base::Result<PeerCredentials> peer_credentials(const Fd& socket);

inline constexpr std::size_t kMaxPassedFds = 8;
struct FdMessage {
  std::vector<std::uint8_t> bytes;
  std::vector<Fd> descriptors;
  bool closed = false;  ///< the other end is gone; bytes and descriptors are empty
};
/// One datagram, not empty, of a SOCK_SEQPACKET socket with descriptors beside it (they stay ours
/// too). Error with os_errno EAGAIN when a non-blocking socket is full.
[[nodiscard]] base::Status send_message(const Fd& socket, base::Bytes bytes,
                                        const std::vector<const Fd*>& descriptors = {});
/// Receives one datagram (at most `max` bytes; a longer one is an error). Error with os_errno
/// EAGAIN when a non-blocking socket has none.
[[nodiscard]] base::Result<FdMessage> receive_message(const Fd& socket, std::size_t max);

}  // namespace warren::os
