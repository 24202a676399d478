// What an engine says about itself: the features in use and the counters, a line each, with fixed
// keys. At level Debug the counters are logged once a minute while packets flow, and at the end.
// The opener is told both (docs/formats/opener.md).
#include <functional>
#include <string>

#include "crypto/crypto.hpp"
#include "engine/engine.hpp"
#include "engine/features.hpp"

namespace warren::engine {

namespace {

/// Collects counters, but none that is 0.
class Counts {
 public:
  void add(std::string name, std::uint64_t value) {
    if (value != 0) list_.push_back({std::move(name), value});
  }
  [[nodiscard]] std::vector<ipc::Report::Counter> take() { return std::move(list_); }

 private:
  std::vector<ipc::Report::Counter> list_;
};

using WorkerCount = Count Worker::Counters::*;
using UdpCount = Count UdpPort::Counters::*;

constexpr std::pair<const char*, WorkerCount> kWorkerCounts[] = {
    {"tun-reads", &Worker::Counters::tun_reads},
    {"tun-read-bytes", &Worker::Counters::tun_read_bytes},
    {"tun-writes", &Worker::Counters::tun_writes},
    {"tun-packets", &Worker::Counters::tun_packets},
    {"tun-full", &Worker::Counters::tun_full},
    {"tun-no-buffer", &Worker::Counters::tun_no_buffer},
    {"tun-malformed", &Worker::Counters::tun_malformed},
    {"tun-pauses", &Worker::Counters::tun_pauses},
    {"no-buffer", &Worker::Counters::no_buffer},
    {"pending-dropped", &Worker::Counters::pending_dropped},
};
constexpr std::pair<const char*, UdpCount> kUdpCounts[] = {
    {"udp-sent", &UdpPort::Counters::sent},
    {"udp-received", &UdpPort::Counters::received},
    {"trains-sent", &UdpPort::Counters::trains_sent},
    {"trains-received", &UdpPort::Counters::trains_received},
    {"trains-split", &UdpPort::Counters::trains_split},
    {"udp-refused", &UdpPort::Counters::refused},
    {"udp-no-room", &UdpPort::Counters::no_room},
    {"udp-overflow", &UdpPort::Counters::overflow},
    {"udp-no-socket", &UdpPort::Counters::no_socket},
    {"udp-no-buffer", &UdpPort::Counters::no_buffer},
    {"udp-errors", &UdpPort::Counters::errors},
};

}  // namespace

std::string Engine::features() const {
  const UdpPort& udp = worker_.udp();
  return "offloads: tun " + to_text(worker_.offloads()) +
         (udp.is_open() ? "; udp " + to_text(udp.offloads()) : "") + "; aead " +
         std::string(crypto::aead_implementation()) + "; workers " +
         std::to_string(1 + crew_.at_work()) + " of " + std::to_string(1 + crew_.size());
}

std::vector<ipc::Report::Counter> Engine::count() {
  std::vector<const Worker*> workers = {&worker_};
  crew_.for_each([&](const Worker& worker) { workers.push_back(&worker); });
  Counts all;
  for (const auto& [name, count] : kWorkerCounts) {
    std::uint64_t sum = 0;
    for (const Worker* worker : workers) sum += (worker->counters().*count).get();
    all.add(name, sum);
  }
  for (const auto& [name, count] : kUdpCounts) {
    std::uint64_t sum = 0;
    for (const Worker* worker : workers) sum += (worker->udp().counters().*count).get();
    all.add(name, sum);
  }
  all.add("suspends", suspends_);
  all.add("clock-steps", clock_steps_);
  auto node = shared_.lock();
  const node::Counters& counts = node->counters();
  all.add("handshakes-initiated", counts.handshakes_initiated);
  all.add("handshakes-answered", counts.handshakes_answered);
  all.add("handshakes-completed", counts.handshakes_completed);
  all.add("cookies-sent", counts.cookies_sent);
  for (std::size_t i = 0; i < counts.drops.size(); ++i) {
    all.add("dropped-" + std::string(node::to_string(static_cast<node::Drop>(i))), counts.drops[i]);
  }
  return all.take();
}

std::string Engine::counters() {
  std::string line = "counters:";
  for (const ipc::Report::Counter& counter : count()) {
    line.append(" ").append(counter.name).append(" ").append(std::to_string(counter.value));
  }
  return line;
}

void Engine::report() {
  if (!opener_.is_open()) return;
  ipc::Report news{.features = features(), .counters = count()};
  if (news == reported_) return;
  // An opener that does not read misses this one and gets the next.
  if (opener_.notify(news, {})) reported_ = std::move(news);
}

void Engine::report_features() {
  if (features() != reported_.features) report();
}

}  // namespace warren::engine
