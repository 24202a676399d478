#include "scaled_host.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>

#include "foreign_peer.hpp"
#include "os/netns.hpp"
#include "wg/messages.hpp"

namespace warren::rekey {

namespace {

constexpr std::size_t kSlot = 2048;
constexpr std::uint16_t kEchoId = 0x7712;

base::IpAddress address(const char* text) { return *base::IpAddress::parse(text); }

}  // namespace

ScaledHost::ScaledHost(const os::Fd& netns)
    : node_({}, random_, pool_), born_(os::now()), room_(os::kUdpBatchMax * kSlot) {
  const auto opened = os::in_netns(netns, [this]() -> base::Status {
    WARREN_TRY_ASSIGN(socket_, os::open_udp({.family = base::Family::V4}));
    WARREN_TRY_ASSIGN(port_, os::local_port(socket_));
    return {};
  });
  EXPECT_TRUE(opened) << opened.error().message;
  node_.set_private_key(crypto::generate_private_key(random_), now());
}

base::Instant ScaledHost::now() const {
  // Starts above zero: an instant of 0 means "never".
  return born_ + std::chrono::hours(1) + (os::now() - born_) * kScale;
}

void ScaledHost::know(const base::PublicKey& peer, std::optional<std::uint16_t> port,
                      std::uint16_t keepalive_s) {
  node::PeerUpdate update{.public_key = peer};
  if (port) update.endpoint = base::Endpoint{address("127.0.0.1"), *port, 0};
  update.persistent_keepalive_s = keepalive_s;
  update.allowed_ips.push_back({.prefix = base::Prefix::host(address(kPeerInner))});
  EXPECT_TRUE(node_.update_peer(update, now()));
  drain();
}

void ScaledHost::send_echoes(base::Duration interval) {
  interval_ = interval;
  next_echo_ = os::now();
}

void ScaledHost::run_for(base::Duration real_time) {
  run_until([] { return false; }, real_time);
}

void ScaledHost::step(base::Instant until) {
  send_due_echoes();
  drain();
  wait(until);
  receive();
  if (const auto due = node_.poll_timeout(); due && *due <= now()) {
    node_.handle_timeout(now(), os::wall_now());
  }
  drain();
}

void ScaledHost::wait(base::Instant until) {
  base::Duration limit = until - os::now();
  if (interval_.count() != 0) limit = std::min(limit, next_echo_ - os::now());
  if (const auto due = node_.poll_timeout()) limit = std::min(limit, real(*due - now()));
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
  pollfd descriptor{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  poll(&descriptor, 1, static_cast<int>(std::clamp<std::int64_t>(ms, 0, 100)));
}

void ScaledHost::receive() {
  std::array<os::UdpReceived, os::kUdpBatchMax> slots;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    slots[i].buffer = base::MutableBytes(room_).subspan(i * kSlot, kSlot);
  }
  const auto count = os::receive_batch(socket_, slots);
  ASSERT_TRUE(count) << count.error().message;
  std::vector<node::Datagram> batch;
  for (std::size_t i = 0; i < *count; ++i) {
    batch.push_back({.packet = pool_.copy_of(slots[i].buffer.first(slots[i].size)),
                     .remote = slots[i].remote,
                     .traffic_class = slots[i].traffic_class});
  }
  node_.handle_datagrams(batch, now(), os::wall_now());
}

void ScaledHost::send_due_echoes() {
  while (interval_.count() != 0 && next_echo_ <= os::now()) {
    next_echo_ += interval_;
    const auto sequence = static_cast<std::uint16_t>(echoes_sent_++);
    outstanding_.insert(sequence);
    hand_in({.request = true,
             .source = address(kOurInner),
             .destination = address(kPeerInner),
             .id = kEchoId,
             .sequence = sequence,
             .data = std::vector<std::uint8_t>(56, 0x77)});
  }
}

void ScaledHost::hand_in(const Echo& echo) {
  wire::Packet packet = pool_.copy_of(write_echo(echo));
  ASSERT_TRUE(packet);
  node_.handle_packets({&packet, 1}, now(), os::wall_now());
}

void ScaledHost::drain() {
  while (auto packet = node_.poll_packet()) handle_inner(packet->bytes());
  while (auto datagram = node_.poll_datagram()) {
    const base::Bytes bytes = std::as_const(datagram->packet).bytes();
    if (bytes.size() == wg::kTransportOverhead) ++keepalives_sent_;
    const os::UdpToSend out{.bytes = bytes,
                            .remote = datagram->remote,
                            .local = {},
                            .traffic_class = datagram->traffic_class};
    const auto sent = os::send_batch(socket_, {&out, 1});  // may be refused: the peer may be away
    EXPECT_TRUE(sent) << sent.error().message;
  }
  while (const auto event = node_.poll_event()) {
    if (event->kind == node::Event::Kind::HandshakeCompleted) handshakes_.push_back(os::now());
  }
}

void ScaledHost::handle_inner(base::Bytes packet) {
  auto echo = parse_echo(packet);
  if (!echo) return;
  if (!echo->request) {
    if (echo->id == kEchoId) outstanding_.erase(echo->sequence);
    return;
  }
  ++requests_received_;
  if (!answering_) return;
  echo->request = false;
  std::swap(echo->source, echo->destination);
  hand_in(*echo);
}

}  // namespace warren::rekey
