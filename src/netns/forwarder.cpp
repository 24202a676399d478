#include "netns/forwarder.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <deque>
#include <list>
#include <map>

#include "netns/control.hpp"
#include "netns/limits.hpp"
#include "netns/socket_address.hpp"
#include "netns/tcp_relay.hpp"
#include "os/clock.hpp"

// Theory of operation. A process of its own, so that nobody who connects can hold up the supervisor
// or be near its keys. It listens on the host; for each connection (TCP) or sender (UDP) it asks
// init for a socket that was made inside the run, and connects that to the program's port: on the
// loopback of the run, else on the run's addresses. Bytes are carried, never read. Nothing inside
// ever gets a socket of the host's side.
//
// One poll(2) over all, for there are few: the limits are small. Init answers in the order it is
// asked, so whoever waits longest gets the next socket.

namespace warren::netns {

namespace {

/// Datagrams of one sender outside.
struct Session {
  os::Fd inside;
  std::vector<SocketAddress> targets;
  std::size_t target = 0;
  base::Instant last_use{};
  std::vector<std::uint8_t> first;  ///< what arrived before the socket did
};
using SessionKey = std::pair<std::size_t, base::Endpoint>;  ///< exposure and sender

struct Waiting {
  std::size_t exposure = 0;
  os::Fd client;          ///< TCP
  base::Endpoint sender;  ///< UDP
};

class Forwarder {
 public:
  explicit Forwarder(ForwarderConfig config) : config_(std::move(config)) {}
  void run();

 private:
  void add_polls();
  void handle_listener(std::size_t exposure);
  void accept_client(std::size_t exposure);
  void receive_datagram(std::size_t exposure);
  void ask(Waiting waiting);
  [[nodiscard]] bool handle_socket();
  void start_session(const Waiting& waiting, os::Fd socket);
  void send_inside(Session& session, const std::vector<std::uint8_t>& datagram);
  void handle_relays(std::size_t first_poll);
  void pass_last();
  void handle_sessions(std::size_t first_poll);
  void answer_sender(const SessionKey& key, Session& session);
  [[nodiscard]] std::vector<SocketAddress> targets(const os::Fd& socket, std::uint16_t port) const;

  ForwarderConfig config_;
  std::vector<pollfd> polls_;
  std::deque<Waiting> waiting_;
  std::list<TcpRelay> relays_;
  std::map<SessionKey, Session> sessions_;
};

std::vector<SocketAddress> Forwarder::targets(const os::Fd& socket, std::uint16_t port) const {
  int domain = AF_INET;
  socklen_t size = sizeof domain;
  getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  const bool both = domain == AF_INET6;
  if (both) {
    const int no = 0;
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  }
  std::vector<base::IpAddress> addresses = {*base::IpAddress::parse("::1"),
                                            *base::IpAddress::parse("127.0.0.1")};
  addresses.insert(addresses.end(), config_.addresses.begin(), config_.addresses.end());
  // Once it spoke IPv4, a socket of both families does not go back.
  std::ranges::stable_partition(addresses, &base::IpAddress::is_v6);
  std::vector<SocketAddress> out;
  for (const base::IpAddress& address : addresses) {
    const base::Endpoint target{.address = address, .port = port};
    if (both) out.push_back(to_mapped_address(target));
    if (!both && address.is_v4()) out.push_back(to_socket_address(target));
  }
  return out;
}

void Forwarder::ask(Waiting waiting) {
  const char* kind = config_.exposures[waiting.exposure].tcp ? "tcp" : "udp";
  if (send_control(config_.sockets, Control::OpenSocket, {kind})) {
    waiting_.push_back(std::move(waiting));
  }
}

void Forwarder::accept_client(std::size_t exposure) {
  SocketAddress from;
  os::Fd client(accept4(config_.listeners[exposure].get(), from.get(), &from.size,
                        SOCK_CLOEXEC | SOCK_NONBLOCK));
  const auto sender = client ? from_socket_address(from) : std::nullopt;
  if (!sender || !config_.exposures[exposure].admits(sender->address)) return;
  if (relays_.size() + waiting_.size() >= kMaxForwards) return;  // closing it says no
  ask({.exposure = exposure, .client = std::move(client), .sender = *sender});
}

void Forwarder::receive_datagram(std::size_t exposure) {
  std::vector<std::uint8_t> datagram(kMaxDatagram);
  SocketAddress from;
  const ssize_t got = recvfrom(config_.listeners[exposure].get(), datagram.data(), datagram.size(),
                               MSG_DONTWAIT, from.get(), &from.size);
  const auto sender = got >= 0 ? from_socket_address(from) : std::nullopt;
  if (!sender || !config_.exposures[exposure].admits(sender->address)) return;
  datagram.resize(static_cast<std::size_t>(got));
  const auto found = sessions_.find({exposure, *sender});
  if (found != sessions_.end()) {
    if (found->second.inside) send_inside(found->second, datagram);
    return;
  }
  if (sessions_.size() >= kMaxForwards) return;
  sessions_[{exposure, *sender}] = {.last_use = os::now(), .first = std::move(datagram)};
  ask({.exposure = exposure, .client = os::Fd(), .sender = *sender});
}

/// A refusal of the datagram before shows in this call: the next address is tried with this one.
void Forwarder::send_inside(Session& session, const std::vector<std::uint8_t>& datagram) {
  session.last_use = os::now();
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  for (std::size_t attempt = 0; attempt < session.targets.size(); ++attempt) {
    if (send(session.inside.get(), datagram.data(), datagram.size(), flags) >= 0) return;
    if (errno != ECONNREFUSED) return;  // lost, as datagrams are
    session.target = (session.target + 1) % session.targets.size();
    const SocketAddress& next = session.targets[session.target];
    if (!connect_to(session.inside, next)) return;
  }
}

void Forwarder::start_session(const Waiting& waiting, os::Fd socket) {
  const auto found = sessions_.find({waiting.exposure, waiting.sender});
  if (found == sessions_.end()) return;
  Session& session = found->second;
  session.targets = targets(socket, config_.exposures[waiting.exposure].port);
  session.inside = std::move(socket);
  const SocketAddress& first = session.targets[0];
  if (!connect_to(session.inside, first)) return;
  send_inside(session, std::exchange(session.first, {}));
}

/// False: init is gone.
bool Forwarder::handle_socket() {
  auto message = receive_control(config_.sockets);
  if (!message || message->closed) return false;
  if (waiting_.empty()) return true;
  Waiting waiting = std::move(waiting_.front());
  waiting_.pop_front();
  const Exposure& exposure = config_.exposures[waiting.exposure];
  if (!message->descriptor) {
    if (!exposure.tcp) sessions_.erase({waiting.exposure, waiting.sender});
  } else if (exposure.tcp) {
    std::vector<SocketAddress> to = targets(message->descriptor, exposure.port);
    relays_.emplace_back(std::move(waiting.client), std::move(message->descriptor), std::move(to));
  } else {
    start_session(waiting, std::move(message->descriptor));
  }
  return true;
}

void Forwarder::handle_relays(std::size_t first_poll) {
  std::size_t at = first_poll;
  for (auto relay = relays_.begin(); relay != relays_.end(); at += 2) {
    const pollfd& client = polls_[at];
    const pollfd& inside = polls_[at + 1];
    const bool idle = client.revents == 0 && inside.revents == 0;
    relay = idle || relay->handle(client, inside) ? std::next(relay) : relays_.erase(relay);
  }
}

/// The program is gone; what it has said is still on its way, as with any program that ends.
void Forwarder::pass_last() {
  config_.listeners.clear();
  waiting_.clear();
  const base::Instant deadline = os::now() + kForwarderFarewell;
  relays_.remove_if([](const TcpRelay& relay) { return !relay.is_connected(); });
  while (!relays_.empty()) {
    const base::Duration left = deadline - os::now();
    if (left <= base::Duration(0)) return;
    polls_.clear();
    for (const TcpRelay& relay : relays_) polls_.push_back(relay.last_poll());
    const auto left_ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (poll(polls_.data(), polls_.size(), static_cast<int>(left_ms)) < 0 && errno != EINTR) return;
    auto entry = polls_.cbegin();
    relays_.remove_if(
        [&](TcpRelay& relay) { return (entry++)->revents != 0 && !relay.pass_last(); });
  }
}

void Forwarder::answer_sender(const SessionKey& key, Session& session) {
  std::array<std::uint8_t, kMaxDatagram> datagram;
  const ssize_t got = recv(session.inside.get(), datagram.data(), datagram.size(), MSG_DONTWAIT);
  if (got < 0) {
    if (errno == ECONNREFUSED && session.target + 1 < session.targets.size()) {
      const SocketAddress& next = session.targets[++session.target];
      static_cast<void>(connect_to(session.inside, next));
    }
    return;
  }
  session.last_use = os::now();
  const SocketAddress to = to_socket_address(key.second);
  sendto(config_.listeners[key.first].get(), datagram.data(), static_cast<std::size_t>(got),
         MSG_DONTWAIT | MSG_NOSIGNAL, to.get(), to.size);
}

void Forwarder::handle_sessions(std::size_t first_poll) {
  std::size_t at = first_poll;
  const base::Instant expired = os::now() - kDatagramIdle;
  for (auto entry = sessions_.begin(); entry != sessions_.end(); ++at) {
    Session& session = entry->second;
    if (polls_[at].revents != 0) answer_sender(entry->first, session);
    const bool over = session.inside && session.last_use < expired;
    entry = over ? sessions_.erase(entry) : std::next(entry);
  }
}

void Forwarder::add_polls() {
  polls_.clear();
  polls_.push_back({.fd = config_.sockets.get(), .events = POLLIN});
  for (const os::Fd& listener : config_.listeners) {
    polls_.push_back({.fd = listener.get(), .events = POLLIN});
  }
  for (const TcpRelay& relay : relays_) relay.add_polls(polls_);
  for (const auto& [key, session] : sessions_) {
    polls_.push_back({.fd = session.inside ? session.inside.get() : -1, .events = POLLIN});
  }
}

void Forwarder::run() {
  while (true) {
    add_polls();
    const std::size_t first_relay = 1 + config_.listeners.size();
    const std::size_t first_session = first_relay + 2 * relays_.size();
    const int timeout_ms = sessions_.empty() ? -1 : 1000;
    if (poll(polls_.data(), polls_.size(), timeout_ms) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    // What exists is handled before what is new: the entries are in this order.
    handle_sessions(first_session);
    handle_relays(first_relay);
    if (polls_[0].revents != 0 && !handle_socket()) return pass_last();
    for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
      if (polls_[1 + i].revents == 0) continue;
      config_.exposures[i].tcp ? accept_client(i) : receive_datagram(i);
    }
  }
}

}  // namespace

void run_forwarder(ForwarderConfig config) { Forwarder(std::move(config)).run(); }

}  // namespace warren::netns
