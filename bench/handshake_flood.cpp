// handshake_flood ADDRESS PORT PEERS SECONDS CONF [WINDOW]: how many handshakes per second a
// WireGuard program answers.
//
// Theory of operation. Makes the keys of a responder and of PEERS initiators, writes the
// responder's configuration to CONF (for `wg setconf`), says "ready" and waits for a line on
// standard input. Then every peer knocks again and again, never more than WINDOW of them at once:
// the responder is always busy, and never so far behind that answers come too late. Each peer
// knocks from an address of its own out of 198.18.0.0/15 (the caller gives this host a local route
// for it, and the responder a route back): a responder under load limits what one source may ask
// for, and hands out cookies; a cookie is taken and the same peer knocks again with it, as a real
// one would.
//
// Initiations are made before the clock starts, so that the generator needs little of the machine:
// two X25519 each, one timestamp step apart for a peer's next. The first response to each peer is
// verified to its session keys; later ones are matched by index.
//
// Prints one line of JSON: answered, cookies, unanswered, seconds, and what the X25519 operations
// of one response cost on one core with our own crypto (a public key and three shared secrets; the
// fourth, static-static, is computed once per peer).

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "os/clock.hpp"
#include "os/fd.hpp"
#include "wg/cookie.hpp"
#include "wg/handshake.hpp"
#include "wg/messages.hpp"
#include "wg/tai64n.hpp"

namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using warren::base::Duration;
using warren::base::Instant;
namespace base = warren::base;
namespace crypto = warren::crypto;
namespace os = warren::os;
namespace wg = warren::wg;

constexpr std::size_t kWindow = 64;  // unless the caller wants a storm
/// More than any program here answers: the supply of initiations made in advance.
constexpr std::size_t kHighestRate = 16'000;
constexpr Duration kPatience = 300ms;
/// A responder ignores a peer that knocks more often than every 20 ms.
constexpr Duration kPeerInterval = 25ms;
constexpr Duration kCookieLifetime = 120s;
constexpr std::uint32_t kFirstSource = 0xc6120001;  // 198.18.0.1
constexpr int kSocketBuffer = 4 << 20;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

double seconds(Duration length) { return std::chrono::duration<double>(length).count(); }

using Datagram = std::array<std::uint8_t, wg::kInitiationSize>;

/// One initiator.
struct Peer {
  Peer(crypto::PrivateKey key, const base::PublicKey& responder)
      : ours(std::move(key)), macs(responder, kCookieLifetime) {}

  wg::Identity ours;
  wg::CookieGenerator macs;
  crypto::SharedSecret static_shared;
  std::vector<Datagram> initiations;  ///< the last is the next to be sent
  wg::InitiatorState first;           ///< of the initiation that is sent first
  bool verified = false;
  bool waiting = false;
  Instant sent;
};

struct Arguments {
  sockaddr_in responder{};
  std::size_t peers = 0;
  std::size_t seconds = 0;
  const char* conf = nullptr;
  std::size_t window = kWindow;
};

struct Tally {
  std::uint64_t answered = 0;
  std::uint64_t cookies = 0;
  std::uint64_t unanswered = 0;
  double seconds = 0;
};

class Flood {
 public:
  explicit Flood(const Arguments& arguments);

  void write_conf() const;
  /// Two threads make what `length` of flood will use up.
  void make_initiations();
  [[nodiscard]] bool open_socket();
  /// Every peer once; false when a response does not authenticate or most stay away.
  [[nodiscard]] bool first_round();
  [[nodiscard]] Tally measure();

 private:
  void make(std::size_t index, std::size_t count);
  void fill_window(Instant now);
  void send(std::size_t index, Instant now);
  void receive(Instant now);
  void handle(base::Bytes datagram, Instant now);
  void release(std::size_t index);
  void expire(Instant now);
  void step();

  Arguments arguments_;
  os::SystemRandom random_;
  wg::Identity responder_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::deque<std::size_t> turn_;     ///< peers that may knock, the one that waits longest first
  std::deque<std::size_t> pending_;  ///< peers in order of sending; some are answered already
  std::size_t window_ = kWindow;
  std::size_t in_flight_ = 0;
  bool once_ = true;
  bool forged_ = false;
  Tally tally_;
  os::Fd socket_;
};

Flood::Flood(const Arguments& arguments)
    : arguments_(arguments), responder_(crypto::generate_private_key(random_)) {
  for (std::size_t i = 0; i < arguments_.peers; ++i) {
    peers_.push_back(
        std::make_unique<Peer>(crypto::generate_private_key(random_), responder_.public_key));
    turn_.push_back(i);
  }
}

void Flood::write_conf() const {
  std::ofstream conf(arguments_.conf);
  conf << "[Interface]\nListenPort = " << ntohs(arguments_.responder.sin_port)
       << "\nPrivateKey = " << base::to_base64(responder_.private_key.view()) << "\n";
  std::uint32_t inner = 0x0a800001;  // 10.128.0.1
  for (const auto& peer : peers_) {
    const in_addr address{.s_addr = htonl(inner++)};
    std::array<char, INET_ADDRSTRLEN> text{};
    conf << "[Peer]\nPublicKey = " << peer->ours.public_key.base64()
         << "\nAllowedIPs = " << ::inet_ntop(AF_INET, &address, text.data(), text.size())
         << "/32\n";
  }
  if (!conf.flush()) fail(arguments_.conf);
}

void Flood::make(std::size_t index, std::size_t count) {
  Peer& peer = *peers_[index];
  if (!crypto::x25519(peer.ours.private_key, responder_.public_key, peer.static_shared)) {
    fail("x25519");
  }
  const crypto::PresharedKey none;
  const wg::Remote remote{responder_.public_key, peer.static_shared, none};
  os::SystemRandom random;
  base::WallTime stamp = os::wall_now();
  peer.initiations.resize(count);
  for (std::size_t i = count; i-- > 0; stamp = stamp + Duration(wg::kTimestampStep_ns)) {
    wg::InitiatorState state;
    wg::Initiation message;
    if (!wg::create_initiation(peer.ours, remote, wg::timestamp_of(stamp),
                               static_cast<wg::Index>(index), random, state, message)) {
      fail("create_initiation");
    }
    wg::write_initiation(message, peer.initiations[i]);
    if (i == count - 1) peer.first = std::move(state);
  }
}

void Flood::make_initiations() {
  const std::size_t each = 2 + kHighestRate * arguments_.seconds / peers_.size();
  auto half = [&](std::size_t from) {
    for (std::size_t i = from; i < peers_.size(); i += 2) make(i, each);
  };
  std::thread other(half, 1);
  half(0);
  other.join();
}

bool Flood::open_socket() {
  socket_ = os::Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  const auto set = [&](int level, int option, const int& value) {
    return ::setsockopt(socket_.get(), level, option, &value, sizeof value) == 0;
  };
  return socket_ && set(SOL_SOCKET, SO_RCVBUFFORCE, kSocketBuffer) &&
         set(IPPROTO_IP, IP_FREEBIND, on);
}

void Flood::send(std::size_t index, Instant now) {
  Peer& peer = *peers_[index];
  Datagram datagram = peer.initiations.back();
  peer.macs.add_macs(datagram, now);
  iovec part{.iov_base = datagram.data(), .iov_len = datagram.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> control{};
  msghdr message{};
  message.msg_name = &arguments_.responder;
  message.msg_namelen = sizeof arguments_.responder;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_IP;
  header->cmsg_type = IP_PKTINFO;
  header->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo source{};
  source.ipi_spec_dst.s_addr = htonl(kFirstSource + static_cast<std::uint32_t>(index));
  std::memcpy(CMSG_DATA(header), &source, sizeof source);
  if (::sendmsg(socket_.get(), &message, 0) < 0 && errno != EAGAIN && errno != ENOBUFS) {
    fail("send an initiation");
  }
  peer.sent = now;
  peer.waiting = true;
  pending_.push_back(index);
  ++in_flight_;
}

void Flood::release(std::size_t index) {
  peers_[index]->waiting = false;
  --in_flight_;
}

void Flood::fill_window(Instant now) {
  while (in_flight_ < window_ && !turn_.empty()) {
    const std::size_t index = turn_.front();
    const Peer& peer = *peers_[index];
    const bool knocks = !peer.initiations.empty() && !(once_ && peer.verified);
    if (knocks && peer.sent.ns != 0 && now - peer.sent < kPeerInterval) return;
    turn_.pop_front();
    if (knocks) send(index, now);
  }
}

void Flood::handle(base::Bytes datagram, Instant now) {
  if (const auto cookie = wg::parse_cookie_reply(datagram)) {
    if (cookie->receiver >= peers_.size()) return;
    Peer& peer = *peers_[cookie->receiver];
    if (!peer.waiting || !peer.macs.consume(*cookie, now)) return;
    ++tally_.cookies;
    release(cookie->receiver);
    peer.sent = {};  // it was not heard, so it may knock again at once, with the cookie
    turn_.push_front(cookie->receiver);
    return;
  }
  const auto response = wg::parse_response(datagram);
  if (!response || response->receiver >= peers_.size()) return;
  Peer& peer = *peers_[response->receiver];
  if (!peer.waiting) return;
  if (!peer.verified) {
    const crypto::PresharedKey none;
    const wg::Remote remote{responder_.public_key, peer.static_shared, none};
    peer.verified = wg::consume_response(peer.ours, remote, *response, peer.first).has_value();
    forged_ = forged_ || !peer.verified;
  }
  ++tally_.answered;
  peer.initiations.pop_back();
  release(response->receiver);
  turn_.push_back(response->receiver);
}

void Flood::receive(Instant now) {
  std::array<std::uint8_t, 256> room;
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), room.data(), room.size(), 0);
    if (got < 0) return;
    handle(base::Bytes(room).first(static_cast<std::size_t>(got)), now);
  }
}

void Flood::expire(Instant now) {
  while (!pending_.empty()) {
    const std::size_t index = pending_.front();
    Peer& peer = *peers_[index];
    if (peer.waiting && now - peer.sent < kPatience) return;
    pending_.pop_front();
    if (!peer.waiting) continue;
    ++tally_.unanswered;
    release(index);
    if (peer.initiations.size() > 1 && peer.verified) peer.initiations.pop_back();
    turn_.push_back(index);
  }
}

void Flood::step() {
  const Instant now = os::now();
  expire(now);
  fill_window(now);
  pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, 5) > 0) receive(os::now());
}

bool Flood::first_round() {
  const Instant deadline = os::now() + 15s;
  while (!forged_ && (in_flight_ > 0 || !turn_.empty()) && os::now() < deadline) step();
  const auto verified = static_cast<std::size_t>(
      std::ranges::count_if(peers_, [](const auto& peer) { return peer->verified; }));
  turn_.clear();
  for (std::size_t i = 0; i < peers_.size(); ++i) turn_.push_back(i);
  return !forged_ && verified * 10 > peers_.size() * 9;
}

Tally Flood::measure() {
  once_ = false;
  window_ = arguments_.window;
  tally_ = {};
  const Instant start = os::now();
  const Instant end = start + std::chrono::seconds(arguments_.seconds);
  while (os::now() < end && (in_flight_ > 0 || !turn_.empty())) step();
  tally_.seconds = seconds(os::now() - start);
  return tally_;
}

/// Microseconds of the X25519 operations that one response needs: the best of several batches, for
/// whatever disturbs a batch is no property of the curve.
double response_x25519_us() {
  constexpr int kBatches = 100;
  constexpr int kRepeats = 20;
  os::SystemRandom random;
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  base::PublicKey point = crypto::public_key(key);
  crypto::SharedSecret shared;
  Duration best = 60s;
  for (int batch = 0; batch < kBatches; ++batch) {
    const Instant start = os::now();
    for (int i = 0; i < kRepeats; ++i) {
      point = crypto::public_key(key);
      for (int j = 0; j < 3; ++j) {
        if (!crypto::x25519(key, point, shared)) fail("x25519");
      }
    }
    best = std::min(best, os::now() - start);
  }
  return seconds(best) * 1e6 / kRepeats;
}

bool parse(int argc, char** argv, Arguments& out) {
  if (argc != 6 && argc != 7) return false;
  const auto port = base::parse_number(argv[2], 1, 65535);
  const auto peers = base::parse_number(argv[3], kWindow, 60'000);
  const auto length = base::parse_number(argv[4], 1, 60);
  out.responder.sin_family = AF_INET;
  if (!port || !peers || !length || ::inet_pton(AF_INET, argv[1], &out.responder.sin_addr) != 1) {
    return false;
  }
  out.responder.sin_port = htons(static_cast<std::uint16_t>(*port));
  out.peers = *peers;
  out.seconds = *length;
  out.conf = argv[5];
  if (argc == 6) return true;
  const auto window = base::parse_number(argv[6], 1, *peers);
  out.window = window.value_or(0);
  return window.has_value();
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::cerr << "usage: handshake_flood ADDRESS PORT PEERS SECONDS CONF [WINDOW]\n";
    return 64;
  }
  const double x25519_us = response_x25519_us();
  Flood flood(arguments);
  flood.write_conf();
  flood.make_initiations();
  if (!flood.open_socket()) fail("socket");
  std::cout << "ready" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  if (!flood.first_round()) {
    std::cerr << "handshake_flood: the responder does not answer as it should\n";
    return 1;
  }
  std::cout << "flood" << std::endl;
  const Tally tally = flood.measure();
  std::cout << "{\"answered\": " << tally.answered << ", \"cookies\": " << tally.cookies
            << ", \"unanswered\": " << tally.unanswered << ", \"seconds\": " << tally.seconds
            << ", \"x25519_us\": " << x25519_us << "}" << std::endl;
  return 0;
}
