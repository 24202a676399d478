// Theory of operation
//
// The mode of a socket file: bind(2) creates it with the mode of the socket's own inode less the
// umask. fchmod on the descriptor before bind therefore decides the mode from the first moment;
// what the umask took away is given back by chmod afterwards. The file is never wider than asked
// for, and the umask, which is shared by all threads, is not touched.
//
// A socket file without a listener stays behind after a crash. It is replaced only when it is a
// socket and connecting gives ECONNREFUSED, and only if it is still the same inode after that.
// Others do the same: wg(8) removes a socket file that refuses it. Between bind and listen a new
// socket refuses, too; so it is bound to a name of its own and gets the final one, by link(2), when
// it listens.
#include "os/unix_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace warren::os {

using base::ErrorKind;
using base::make_error;
using base::os_error;

namespace {

constexpr int kBacklog = 64;

int type_flags(UnixType type) {
  return (type == UnixType::Stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC;
}

struct UnixAddress {
  sockaddr_un raw{};
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&raw); }
  static constexpr socklen_t kSize = sizeof(sockaddr_un);
};

base::Result<UnixAddress> address_of(const std::string& path) {
  UnixAddress address;
  address.raw.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.raw.sun_path)
    return make_error(
        ErrorKind::Invalid, "the socket path '" + path + "' has no usable length",
        "use a path of 1 to " + std::to_string(sizeof address.raw.sun_path - 1) + " characters");
  std::memcpy(address.raw.sun_path, path.data(), path.size());
  return address;
}

/// Removes a socket file that nobody listens on; Conflict for anything else.
base::Status remove_stale(UnixType type, const std::string& path, const UnixAddress& address) {
  struct stat before{};
  if (lstat(path.c_str(), &before) < 0) {
    if (errno == ENOENT) return {};
    return os_error("look at " + path);
  }
  if (!S_ISSOCK(before.st_mode))
    return make_error(ErrorKind::Conflict, path + " exists and is not a socket",
                      "remove it or choose another path");
  const Fd probe(socket(AF_UNIX, type_flags(type) | SOCK_NONBLOCK, 0));
  if (!probe) return os_error("create a socket");
  if (connect(probe.get(), address.get(), UnixAddress::kSize) == 0 || errno != ECONNREFUSED) {
    base::Error error = make_error(ErrorKind::Conflict, "another program listens on " + path,
                                   "stop it first, or choose another name");
    error.os_errno = EADDRINUSE;
    return error;
  }
  struct stat after{};
  if (lstat(path.c_str(), &after) < 0 || after.st_ino != before.st_ino ||
      after.st_dev != before.st_dev)
    return {};  // changed meanwhile: the next bind tells
  if (unlink(path.c_str()) < 0 && errno != ENOENT) return os_error("remove the stale " + path);
  return {};
}

base::Status set_final_mode(const std::string& path, mode_t mode) {
  struct stat made{};
  if (lstat(path.c_str(), &made) < 0) return os_error("look at " + path);
  if ((made.st_mode & 07777) != mode && chmod(path.c_str(), mode) < 0)
    return os_error("set the mode of " + path);
  return {};
}

}  // namespace

base::Result<std::pair<Fd, Fd>> unix_pair(UnixType type) {
  int ends[2];
  if (socketpair(AF_UNIX, type_flags(type), 0, ends) < 0) return os_error("create a socket pair");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

namespace {

/// A file that is removed at the end of its use.
class TemporaryName {
 public:
  explicit TemporaryName(const std::string& path) : path_(path + "." + std::to_string(getpid())) {
    unlink(path_.c_str());  // of an earlier process with our id
  }
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;
  ~TemporaryName() { unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

base::Result<Fd> unix_listen(UnixType type, const std::string& path, mode_t mode) {
  WARREN_TRY_ASSIGN(const UnixAddress address, address_of(path));
  const TemporaryName name(path);
  WARREN_TRY_ASSIGN(const UnixAddress first_address, address_of(name.path()));
  Fd listener(socket(AF_UNIX, type_flags(type) | SOCK_NONBLOCK, 0));
  if (!listener) return os_error("create a socket");
  if (fchmod(listener.get(), mode) < 0) return os_error("set the mode of a socket");
  if (bind(listener.get(), first_address.get(), UnixAddress::kSize) < 0)
    return os_error("bind to " + path);
  WARREN_TRY(set_final_mode(name.path(), mode));
  if (listen(listener.get(), kBacklog) < 0) return os_error("listen on " + path);
  if (link(name.path().c_str(), path.c_str()) == 0) return listener;
  if (errno != EEXIST) return os_error("bind to " + path);
  WARREN_TRY(remove_stale(type, path, address));
  if (link(name.path().c_str(), path.c_str()) < 0) return os_error("bind to " + path);
  return listener;
}

namespace {

base::Result<Fd> connect_with(int flags, const std::string& path) {
  WARREN_TRY_ASSIGN(const UnixAddress address, address_of(path));
  Fd connection(socket(AF_UNIX, flags, 0));
  if (!connection) return os_error("create a socket");
  int done = 0;
  do {
    done = connect(connection.get(), address.get(), UnixAddress::kSize);
  } while (done < 0 && errno == EINTR);
  if (done < 0) return os_error("connect to " + path);
  return connection;
}

}  // namespace

base::Result<Fd> unix_connect(UnixType type, const std::string& path) {
  return connect_with(type_flags(type), path);
}

base::Result<Fd> unix_connect_now(UnixType type, const std::string& path) {
  return connect_with(type_flags(type) | SOCK_NONBLOCK, path);
}

base::Result<Fd> unix_accept(const Fd& listener) {
  while (true) {
    Fd connection(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection) return connection;
    if (errno != EINTR && errno != ECONNABORTED) return os_error("accept a connection");
  }
}

base::Result<PeerCredentials> peer_credentials(const Fd& socket) {
  ucred raw{};
  socklen_t size = sizeof raw;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &raw, &size) < 0)
    return os_error("read the credentials of the other end");
  return PeerCredentials{.pid = raw.pid, .uid = raw.uid, .gid = raw.gid};
}

base::Status send_message(const Fd& socket, base::Bytes bytes,
                          const std::vector<const Fd*>& descriptors) {
  if (bytes.empty() || descriptors.size() > kMaxPassedFds)
    return make_error(ErrorKind::Invalid, "send a message: empty, or with too many descriptors");
  int numbers[kMaxPassedFds];
  for (std::size_t i = 0; i < descriptors.size(); ++i) numbers[i] = descriptors[i]->get();

  iovec piece{.iov_base = const_cast<std::uint8_t*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof numbers)] = {};
  msghdr message{.msg_iov = &piece, .msg_iovlen = 1};
  if (!descriptors.empty()) {
    const std::size_t size = descriptors.size() * sizeof(int);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(header), numbers, size);
  }
  while (sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return os_error("send a message");
  return {};
}

namespace {

void take_descriptors(msghdr& message, std::vector<Fd>& out) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof number);
      out.emplace_back(number);
    }
  }
}

}  // namespace

base::Result<FdMessage> receive_message(const Fd& socket, std::size_t max) {
  FdMessage out;
  out.bytes.resize(max);
  iovec piece{.iov_base = out.bytes.data(), .iov_len = max};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPassedFds * sizeof(int))] = {};
  msghdr message{
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  ssize_t got = 0;
  do {
    got = recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno != ECONNRESET) return os_error("receive a message");
  if (got <= 0) {
    out.bytes.clear();
    out.closed = true;
    return out;
  }
  take_descriptors(message, out.descriptors);  // first, so that a refused message leaks none
  if ((message.msg_flags & MSG_TRUNC) != 0)
    return make_error(ErrorKind::Invalid,
                      "receive a message: longer than " + std::to_string(max) + " bytes");
  if ((message.msg_flags & MSG_CTRUNC) != 0)
    return make_error(ErrorKind::Failed, "receive a message: its descriptors did not all arrive",
                      "raise the limit of open files (ulimit -n)");
  out.bytes.resize(static_cast<std::size_t>(got));
  return out;
}

}  // namespace warren::os
