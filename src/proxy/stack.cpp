#include "proxy/stack.hpp"

#include <lwip/inet_chksum.h>
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/ip4_frag.h>
#include <lwip/ip6_frag.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/raw.h>
#include <lwip/tcp.h>
#include <lwip/udp.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/assert.hpp"
#include "proxy/inner_filter.hpp"
#include "proxy/limits.hpp"

// Theory of operation
//
// lwIP's raw interface runs in the caller's thread: lwip_init() and no tcpip thread, so its core
// lock is never looked at. Its own timer list is never run either: it would wake an idle process
// ten times a second for IGMP, MLD and ARP, which a tunnel has not. What is needed of it, TCP's
// timer and those of the reassembly, is called from handle_tick(), and only while there is work.
//
// One interface, without a link layer: its two output functions hand the packet, which lwIP makes
// in one piece (LWIP_NETIF_TX_SINGLE_PBUF), to the tunnel. When that is full they say so, and TCP
// keeps the segment. IPv6 addresses are set as preferred at once: no duplicate detection, no
// router solicitation, no multicast membership on a link that has no neighbours. Every connection
// is bound to our own address of its family, so that lwIP chooses nothing.
//
// Randomness. lwIP draws initial sequence numbers from a counter and ports from rand(). Ports are
// chosen here; tcp_next_iss() is defined here too and takes the library's place at link time (the
// library calls it through its symbol; a test looks at the numbers).

namespace warren::proxy {

namespace {

constexpr std::uint16_t kFirstPort = 32768;
constexpr int kPortTries = 32;
constexpr std::size_t kMostAtOnce = std::numeric_limits<u16_t>::max();
constexpr std::size_t kMaxQueued = TCP_SND_QUEUELEN - 2;
constexpr std::uint32_t kReassemblyTicks = 4;  // its timers want a second
constexpr std::uint32_t kRestTicks = static_cast<std::uint32_t>(kStackRest / kStackTick);
constexpr std::size_t kEchoSize = 16;
static_assert(kStackTick == std::chrono::milliseconds(TCP_TMR_INTERVAL));

// lwIP is one per process, and so is what it draws from.
base::RandomSource* random_source = nullptr;

ip_addr_t to_lwip(const base::IpAddress& address) {
  ip_addr_t out{};
  if (address.is_v4()) {
    IP_SET_TYPE_VAL(out, IPADDR_TYPE_V4);
    std::memcpy(&out.u_addr.ip4.addr, address.bytes().data(), 4);
  } else {
    IP_SET_TYPE_VAL(out, IPADDR_TYPE_V6);
    std::memcpy(out.u_addr.ip6.addr, address.bytes().data(), 16);
    ip6_addr_clear_zone(&out.u_addr.ip6);
  }
  return out;
}

base::IpAddress from_lwip(const ip_addr_t& address) {
  const bool v6 = IP_IS_V6_VAL(address);
  const void* bytes = v6 ? static_cast<const void*>(address.u_addr.ip6.addr)
                         : static_cast<const void*>(&address.u_addr.ip4.addr);
  return *base::IpAddress::from_bytes({static_cast<const std::uint8_t*>(bytes), v6 ? 16U : 4U});
}

base::Bytes bytes_of(const pbuf& piece) {
  return {static_cast<const std::uint8_t*>(piece.payload), piece.len};
}

/// All of a chain in one piece.
std::vector<std::uint8_t> copy_of(const pbuf& chain) {
  std::vector<std::uint8_t> out(chain.tot_len);
  out.resize(pbuf_copy_partial(&chain, out.data(), chain.tot_len, 0));
  return out;
}

struct FreePbuf {
  void operator()(pbuf* chain) const { pbuf_free(chain); }
};
using Pbuf = std::unique_ptr<pbuf, FreePbuf>;

Pbuf pbuf_with(base::Bytes bytes, pbuf_layer layer) {
  if (bytes.size() > kMostAtOnce) return nullptr;
  Pbuf chain(pbuf_alloc(layer, static_cast<u16_t>(bytes.size()), PBUF_RAM));
  if (chain) pbuf_take(chain.get(), bytes.data(), static_cast<u16_t>(bytes.size()));
  return chain;
}

std::uint16_t random_port() {
  return static_cast<std::uint16_t>(kFirstPort + random_source->u32() % (65536 - kFirstPort));
}

base::Error no_address() {
  return base::make_error(base::ErrorKind::Unavailable,
                          "the profile has no address of this family");
}
base::Error no_port() {
  return base::make_error(base::ErrorKind::Unavailable, "no free port or memory in the stack");
}

}  // namespace

// --- the stack ---

struct Stack::State {
  std::vector<base::IpAddress> own;
  Send send;
  netif interface{};
  std::uint32_t ticks = 0;
  std::uint32_t quiet_ticks = kRestTicks;

  err_t output(pbuf* packet) {
    if (packet->next == nullptr) return send(bytes_of(*packet)) ? ERR_OK : ERR_MEM;
    return send(copy_of(*packet)) ? ERR_OK : ERR_MEM;
  }
  static err_t output_v4(netif* on, pbuf* packet, const ip4_addr_t*) {
    return static_cast<State*>(on->state)->output(packet);
  }
  static err_t output_v6(netif* on, pbuf* packet, const ip6_addr_t*) {
    return static_cast<State*>(on->state)->output(packet);
  }
  static err_t prepare(netif* made) {
    made->name[0] = 'w';
    made->name[1] = 'r';
    made->output = output_v4;
    made->output_ip6 = output_v6;
    return ERR_OK;
  }
};

Stack::Stack(const Options& options, base::RandomSource& random, Send send)
    : state_(std::make_unique<State>()) {
  WARREN_ASSERT(random_source == nullptr);
  random_source = &random;
  static const bool once = [] {
    lwip_init();
    return true;
  }();
  std::ignore = once;
  state_->send = std::move(send);
  netif& interface = state_->interface;
  netif_add_noaddr(&interface, state_.get(), State::prepare, ip_input);
  interface.mtu = static_cast<u16_t>(std::min<std::size_t>(options.mtu, kMostAtOnce));
  interface.mtu6 = interface.mtu;
  for (const base::Prefix& prefix : options.addresses) {
    if (own_address(prefix.address.family()) != nullptr) continue;
    state_->own.push_back(prefix.address);
    const ip_addr_t own = to_lwip(prefix.address);
    if (prefix.address.is_v4()) {
      ip4_addr_t mask{.addr = IPADDR_NONE};
      ip4_addr_t none{.addr = IPADDR_ANY};
      netif_set_addr(&interface, &own.u_addr.ip4, &mask, &none);
    } else {
      // The first slot is for a link-local address, which a tunnel does not need.
      netif_ip6_addr_set(&interface, 1, &own.u_addr.ip6);
      netif_ip6_addr_set_state(&interface, 1, IP6_ADDR_PREFERRED);
    }
  }
  netif_set_default(&interface);
  netif_set_link_up(&interface);
  netif_set_up(&interface);
}

Stack::~Stack() {
  netif_remove(&state_->interface);
  random_source = nullptr;
}

const base::IpAddress* Stack::own_address(base::Family family) const {
  const auto found = std::ranges::find(state_->own, family, &base::IpAddress::family);
  return found == state_->own.end() ? nullptr : &*found;
}

void Stack::handle_packet(base::Bytes packet) {
  if (!is_for_us(packet, state_->own)) return;
  Pbuf chain = pbuf_with(packet, PBUF_RAW);
  if (!chain) return;
  state_->quiet_ticks = 0;
  netif& interface = state_->interface;
  if (interface.input(chain.get(), &interface) == ERR_OK) std::ignore = chain.release();
}

void Stack::handle_tick() {
  if (++state_->quiet_ticks == 0) --state_->quiet_ticks;
  tcp_tmr();
  if (++state_->ticks % kReassemblyTicks == 0) {
    ip_reass_tmr();
    ip6_reass_tmr();
  }
  std::size_t waiting = 0;
  for (tcp_pcb* pcb = tcp_tw_pcbs; pcb != nullptr;) {
    tcp_pcb* const next = pcb->next;  // the oldest are at the end
    if (++waiting > kMaxTimeWait) tcp_abort(pcb);
    pcb = next;
  }
}

bool Stack::is_busy() const {
  return tcp_active_pcbs != nullptr || tcp_tw_pcbs != nullptr || state_->quiet_ticks < kRestTicks;
}

// --- TCP ---

struct TcpPipe::State {
  tcp_pcb* pcb = nullptr;
  Handlers handlers;
  bool connected = false;
  bool sent_all = false;
  bool received_all = false;

  static State& of(void* argument) { return *static_cast<State*>(argument); }
  static err_t on_connected(void* argument, tcp_pcb*, err_t) {
    of(argument).connected = true;
    of(argument).handlers.connected();
    return ERR_OK;
  }
  static err_t on_received(void* argument, tcp_pcb*, pbuf* chain, err_t) {
    if (chain == nullptr) {
      of(argument).received_all = true;
      of(argument).handlers.finished();
      return ERR_OK;
    }
    const Pbuf owner(chain);
    for (const pbuf* piece = chain; piece != nullptr; piece = piece->next) {
      of(argument).handlers.received(bytes_of(*piece));
    }
    return ERR_OK;
  }
  static err_t on_sent(void* argument, tcp_pcb*, u16_t) {
    of(argument).handlers.writable();
    return ERR_OK;
  }
  static void on_error(void* argument, err_t why) {
    of(argument).pcb = nullptr;   // it is freed already
    if (why == ERR_CLSD) return;  // both sides had finished
    of(argument).handlers.failed(why == ERR_RST ? Failure::Refused : Failure::TimedOut);
  }

  void set_handlers() {
    tcp_arg(pcb, this);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
    ip_set_option(pcb, SOF_KEEPALIVE);
    const auto ms = [](base::Duration time) {
      return static_cast<u32_t>(
          std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    };
    pcb->keep_idle = ms(kKeepaliveIdle);
    pcb->keep_intvl = ms(kKeepalivePause);
    pcb->keep_cnt = kKeepaliveTries;
  }
};

TcpPipe::TcpPipe(std::unique_ptr<State> state) : state_(std::move(state)) {}

base::Result<std::unique_ptr<TcpPipe>> TcpPipe::connect(Stack& stack, const base::Endpoint& to,
                                                        Handlers handlers) {
  const base::IpAddress* own = stack.own_address(to.address.family());
  if (own == nullptr) return no_address();
  auto state = std::make_unique<State>();
  state->handlers = std::move(handlers);
  state->pcb = tcp_new_ip_type(to.address.is_v4() ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
  if (state->pcb == nullptr) return no_port();
  const ip_addr_t local = to_lwip(*own);
  const ip_addr_t remote = to_lwip(to.address);
  err_t bound = ERR_USE;
  for (int i = 0; bound != ERR_OK && i < kPortTries; ++i) {
    bound = tcp_bind(state->pcb, &local, random_port());
  }
  state->set_handlers();
  if (bound != ERR_OK || tcp_connect(state->pcb, &remote, to.port, State::on_connected) != ERR_OK) {
    tcp_err(state->pcb, nullptr);
    tcp_abort(state->pcb);
    return no_port();
  }
  return std::unique_ptr<TcpPipe>(new TcpPipe(std::move(state)));
}

TcpPipe::~TcpPipe() {
  tcp_pcb* const pcb = state_->pcb;
  if (pcb == nullptr) return;
  tcp_arg(pcb, nullptr);
  tcp_recv(pcb, nullptr);
  tcp_sent(pcb, nullptr);
  tcp_err(pcb, nullptr);
  const bool graceful = state_->sent_all && state_->received_all;
  if (!graceful || tcp_close(pcb) != ERR_OK) tcp_abort(pcb);
}

std::size_t TcpPipe::room() const {
  const tcp_pcb* pcb = state_->pcb;
  if (pcb == nullptr || state_->sent_all || tcp_sndqueuelen(pcb) >= kMaxQueued) return 0;
  return tcp_sndbuf(pcb);
}

std::size_t TcpPipe::write(base::Bytes bytes) {
  const std::size_t count = std::min({bytes.size(), room(), kMostAtOnce});
  if (count == 0) return 0;
  // With COPY: the bytes are the caller's. ERR_MEM: the queue of segments is full.
  const err_t result =
      tcp_write(state_->pcb, bytes.data(), static_cast<u16_t>(count), TCP_WRITE_FLAG_COPY);
  return result == ERR_OK ? count : 0;
}

void TcpPipe::flush() {
  if (state_->pcb != nullptr) std::ignore = tcp_output(state_->pcb);
}

void TcpPipe::consumed(std::size_t count) {
  while (count > 0 && state_->pcb != nullptr) {
    const std::size_t part = std::min(count, kMostAtOnce);
    tcp_recved(state_->pcb, static_cast<u16_t>(part));
    count -= part;
  }
}

void TcpPipe::finish() {
  if (state_->pcb == nullptr || std::exchange(state_->sent_all, true)) return;
  // ERR_MEM: lwIP keeps the wish and tries again with its timer.
  std::ignore = tcp_shutdown(state_->pcb, 0, 1);
}

bool TcpPipe::is_waiting_for_ack() const {
  return state_->pcb != nullptr && state_->pcb->unacked != nullptr;
}

// --- UDP ---

struct UdpPipe::State {
  udp_pcb* pcb = nullptr;
  Received received;

  static void on_received(void* argument, udp_pcb*, pbuf* chain, const ip_addr_t* from,
                          u16_t port) {
    const Pbuf owner(chain);
    const base::Endpoint remote{.address = from_lwip(*from), .port = port};
    State& state = *static_cast<State*>(argument);
    if (chain->next == nullptr) return state.received(remote, bytes_of(*chain));
    state.received(remote, copy_of(*chain));
  }
};

UdpPipe::UdpPipe(std::unique_ptr<State> state) : state_(std::move(state)) {}

base::Result<std::unique_ptr<UdpPipe>> UdpPipe::open(Stack& stack, base::Family family,
                                                     Received received) {
  const base::IpAddress* own = stack.own_address(family);
  if (own == nullptr) return no_address();
  auto state = std::make_unique<State>();
  state->received = std::move(received);
  state->pcb = udp_new_ip_type(family == base::Family::V4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
  if (state->pcb == nullptr) return no_port();
  const ip_addr_t local = to_lwip(*own);
  err_t bound = ERR_USE;
  for (int i = 0; bound != ERR_OK && i < kPortTries; ++i) {
    bound = udp_bind(state->pcb, &local, random_port());
  }
  if (bound != ERR_OK) {
    udp_remove(state->pcb);
    return no_port();
  }
  udp_recv(state->pcb, State::on_received, state.get());
  return std::unique_ptr<UdpPipe>(new UdpPipe(std::move(state)));
}

UdpPipe::~UdpPipe() { udp_remove(state_->pcb); }

void UdpPipe::send(const base::Endpoint& to, base::Bytes bytes) {
  const Pbuf chain = pbuf_with(bytes, PBUF_TRANSPORT);
  if (!chain) return;
  const ip_addr_t remote = to_lwip(to.address);
  std::ignore = udp_sendto(state_->pcb, chain.get(), &remote, to.port);
}

// --- echo ---

struct EchoPipe::State {
  raw_pcb* pcb = nullptr;
  base::IpAddress target;
  std::array<std::uint8_t, kEchoSize - 8> cookie{};
  std::uint16_t sequence = 0;
  Answered answered;

  [[nodiscard]] bool is_v4() const { return target.is_v4(); }
  static u8_t on_received(void* argument, raw_pcb*, pbuf* chain, const ip_addr_t* from) {
    State& state = *static_cast<State*>(argument);
    const std::size_t header = state.is_v4() ? 20 : 40;
    const std::vector<std::uint8_t> packet = copy_of(*chain);
    if (packet.size() < header + kEchoSize || from_lwip(*from) != state.target) return 0;
    const std::uint8_t reply = state.is_v4() ? 0 : 129;
    const base::Bytes message = base::Bytes(packet).subspan(header, kEchoSize);
    if (message[0] != reply || !std::ranges::equal(message.subspan(8), state.cookie)) return 0;
    state.answered();
    return 0;  // the packet goes its way
  }
};

EchoPipe::EchoPipe(std::unique_ptr<State> state) : state_(std::move(state)) {}

base::Result<std::unique_ptr<EchoPipe>> EchoPipe::open(Stack& stack, const base::IpAddress& target,
                                                       Answered answered) {
  const base::IpAddress* own = stack.own_address(target.family());
  if (own == nullptr) return no_address();
  auto state = std::make_unique<State>();
  state->target = target;
  state->answered = std::move(answered);
  random_source->fill(state->cookie);
  state->pcb = raw_new_ip_type(target.is_v4() ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6,
                               target.is_v4() ? IP_PROTO_ICMP : IP6_NEXTH_ICMP6);
  if (state->pcb == nullptr) return no_port();
  const ip_addr_t local = to_lwip(*own);
  std::ignore = raw_bind(state->pcb, &local);
  if (!target.is_v4()) {
    state->pcb->chksum_reqd = 1;
    state->pcb->chksum_offset = 2;
  }
  raw_recv(state->pcb, State::on_received, state.get());
  return std::unique_ptr<EchoPipe>(new EchoPipe(std::move(state)));
}

EchoPipe::~EchoPipe() { raw_remove(state_->pcb); }

void EchoPipe::ask() {
  std::array<std::uint8_t, kEchoSize> message{};
  base::ByteWriter writer(message);
  writer.u8(state_->is_v4() ? 8 : 128).u8(0).u16_be(0).u16_be(1).u16_be(++state_->sequence);
  writer.bytes(state_->cookie);
  if (state_->is_v4()) {
    const u16_t sum = inet_chksum(message.data(), kEchoSize);  // as it lies in memory
    std::memcpy(message.data() + 2, &sum, sizeof sum);
  }
  const Pbuf chain = pbuf_with(message, PBUF_IP);
  if (!chain) return;
  const ip_addr_t remote = to_lwip(state_->target);
  std::ignore = raw_sendto(state_->pcb, chain.get(), &remote);
}

}  // namespace warren::proxy

/// Takes the place of lwIP's own: see the theory of operation.
extern "C" u32_t tcp_next_iss(tcp_pcb*) { return warren::proxy::random_source->u32(); }
