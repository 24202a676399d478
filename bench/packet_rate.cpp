// packet_rate NETNS_A NETNS_B ADDRESS PACKET_BYTES [TRIAL_MS]: the highest rate of equal UDP
// packets that goes from a process in one namespace to a process in another without loss.
//
// Theory of operation. One program holds both sockets, each made inside its namespace, so that no
// trial needs a rendezvous. A trial sends at a fixed rate for TRIAL_MS, in small bursts every
// quarter of a millisecond, plain datagrams (no UDP_SEGMENT: an application that sends packets one
// by one is what is measured). It passes if
//   - the sender kept its rate (a tunnel that blocks the sender has not carried the rate),
//   - fewer than one packet in a thousand is missing, and
//   - the last packet arrived hardly later than it was sent: queues on the way must not be what
//     "carried" a short trial.
// A trial that fails is repeated once, because a hiccup of the machine is no property of a tunnel.
// The rate is doubled until it fails, then the gap is halved in steps (geometrically): the answer
// is within 3 %. The number of trials is bounded, so is the time.
//
// PACKET_BYTES is the size of the whole inner IPv4 packet. Prints one line of JSON.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <thread>
#include <tuple>
#include <vector>

#include "base/bytes.hpp"
#include "os/clock.hpp"
#include "os/fd.hpp"

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using warren::base::Duration;
using warren::base::Instant;

constexpr std::size_t kHeaders = 28;  // IPv4 and UDP
constexpr std::size_t kBurst = 64;
constexpr std::size_t kRoom = 2048;
constexpr Duration kTick = microseconds(250);
constexpr Duration kQuiet = milliseconds(60);
constexpr int kSocketBuffer = 7 << 20;
constexpr double kFirstRate = 20'000;
constexpr double kLowestRate = 1'000;
constexpr double kHighestRate = 1'500'000;
constexpr int kRefinements = 5;

/// What each packet carries.
struct Stamp {
  std::uint32_t trial = 0;
  std::uint32_t number = 0;
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

warren::os::Fd socket_in(const char* netns) {
  const warren::os::Fd space(::open(netns, O_RDONLY | O_CLOEXEC));
  if (!space || ::setns(space.get(), CLONE_NEWNET) != 0) fail(netns);
  warren::os::Fd made(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!made) fail("socket");
  for (const int option : {SO_SNDBUFFORCE, SO_RCVBUFFORCE}) {
    if (::setsockopt(made.get(), SOL_SOCKET, option, &kSocketBuffer, sizeof kSocketBuffer) != 0) {
      fail("socket buffer");
    }
  }
  return made;
}

/// Vectors of messages whose buffers lie in one block.
class Burst {
 public:
  explicit Burst(std::size_t size) : memory_(kBurst * kRoom) {
    for (std::size_t i = 0; i < kBurst; ++i) {
      parts_[i] = {.iov_base = at(i), .iov_len = size};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;
  ~Burst() = default;

  [[nodiscard]] std::uint8_t* at(std::size_t i) { return &memory_[i * kRoom]; }
  [[nodiscard]] mmsghdr* messages() { return messages_.data(); }

 private:
  std::vector<std::uint8_t> memory_;
  std::array<iovec, kBurst> parts_{};
  std::array<mmsghdr, kBurst> messages_{};
};

struct Received {
  std::uint64_t packets = 0;
  Instant last;
};

/// Counts the packets of `trial` until `over` is set and nothing has come for a while.
Received receive(const warren::os::Fd& from, std::uint32_t trial, const std::atomic<bool>& over) {
  Burst burst(kRoom);
  Received received;
  for (;;) {
    pollfd waiting{.fd = from.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(kQuiet / milliseconds(1)));
    if (ready == 0 && over.load()) return received;
    if (ready <= 0) continue;
    const int got = ::recvmmsg(from.get(), burst.messages(), kBurst, MSG_DONTWAIT, nullptr);
    if (got <= 0) continue;
    received.last = warren::os::now();
    for (int i = 0; i < got; ++i) {
      Stamp stamp;
      std::memcpy(&stamp, burst.at(static_cast<std::size_t>(i)), sizeof stamp);
      if (stamp.trial == trial) ++received.packets;
    }
  }
}

struct Sent {
  std::uint64_t packets = 0;
  Instant end;
};

void wait_until(Instant at) {
  const timespec when{.tv_sec = at.ns / 1'000'000'000, .tv_nsec = at.ns % 1'000'000'000};
  std::ignore = ::clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &when, nullptr);
}

Sent send(const warren::os::Fd& to, std::size_t payload, std::uint32_t trial, double rate,
          Duration length) {
  Burst burst(payload);
  Sent sent;
  const Instant start = warren::os::now();
  const auto total =
      static_cast<std::uint64_t>(rate * std::chrono::duration<double>(length).count());
  for (Instant tick = start; sent.packets < total; tick += kTick) {
    const Instant now = warren::os::now();
    if (now - start > length + length / 4) break;  // the tunnel holds the sender back
    const double elapsed = std::chrono::duration<double>(now - start + kTick).count();
    const auto due = std::min(total, static_cast<std::uint64_t>(elapsed * rate));
    while (sent.packets < due) {
      const std::size_t count = std::min<std::uint64_t>(kBurst, due - sent.packets);
      for (std::size_t i = 0; i < count; ++i) {
        const Stamp stamp{.trial = trial, .number = static_cast<std::uint32_t>(sent.packets + i)};
        std::memcpy(burst.at(i), &stamp, sizeof stamp);
      }
      const int done = ::sendmmsg(to.get(), burst.messages(), static_cast<unsigned>(count), 0);
      if (done <= 0) break;
      sent.packets += static_cast<std::uint64_t>(done);
    }
    wait_until(tick + kTick);
  }
  sent.end = warren::os::now();
  return sent;
}

class Search {
 public:
  Search(warren::os::Fd from, warren::os::Fd to, std::size_t payload, Duration length)
      : from_(std::move(from)), to_(std::move(to)), payload_(payload), length_(length) {}

  /// The highest rate that passed, packets per second; 0 if not even the lowest did.
  double highest() {
    double rate = kFirstRate;
    while (rate >= kLowestRate && !passes(rate)) rate /= 2;
    if (rate < kLowestRate) return 0;
    double bad = rate * 2;
    if (rate >= kFirstRate) {
      for (; bad < kHighestRate && passes(bad); bad *= 2) rate = bad;
    }
    for (int i = 0; i < kRefinements; ++i) {
      const double middle = std::sqrt(rate * bad);
      (passes(middle) ? rate : bad) = middle;
    }
    return rate;
  }
  [[nodiscard]] int trials() const { return static_cast<int>(trial_); }

 private:
  bool passes(double rate) { return attempt(rate) || attempt(rate); }

  bool attempt(double rate) {
    const std::uint32_t trial = ++trial_;
    std::atomic<bool> over{false};
    Received received;
    std::thread receiver([&] { received = receive(to_, trial, over); });
    const Sent sent = send(from_, payload_, trial, rate, length_);
    over.store(true);
    receiver.join();
    const double wanted = rate * std::chrono::duration<double>(length_).count();
    return static_cast<double>(sent.packets) >= wanted * 0.99 &&
           static_cast<double>(received.packets) >= static_cast<double>(sent.packets) * 0.999 &&
           received.last - sent.end < length_ / 16;
  }

  warren::os::Fd from_;
  warren::os::Fd to_;
  std::size_t payload_;
  Duration length_;
  std::uint32_t trial_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const auto size = argc >= 5 ? warren::base::parse_number(argv[4], 40, 1500) : std::nullopt;
  const auto length = argc == 6 ? warren::base::parse_number(argv[5], 50, 10'000)
                                : std::optional<std::uint64_t>(300);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);  // nobody else is in these namespaces
  if (argc < 5 || argc > 6 || !size || !length ||
      ::inet_pton(AF_INET, argv[3], &address.sin_addr) != 1) {
    std::fprintf(stderr, "usage: packet_rate NETNS_A NETNS_B ADDRESS PACKET_BYTES [TRIAL_MS]\n");
    return 64;
  }
  warren::os::Fd from = socket_in(argv[1]);
  if (::connect(from.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    fail("connect");
  }
  warren::os::Fd to = socket_in(argv[2]);
  if (::bind(to.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");

  Search search(std::move(from), std::move(to), *size - kHeaders, milliseconds(*length));
  const double rate = search.highest();
  std::printf("{\"packets_per_second\": %.0f, \"trials\": %d}\n", rate, search.trials());
  return 0;
}
