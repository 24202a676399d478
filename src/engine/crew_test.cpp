// Several workers on one node.
#include "engine/crew.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "engine/engine_test_support.hpp"
#include "os/udp.hpp"

namespace warren::engine {
namespace {

constexpr std::uint8_t kWorkers = 2;

TEST(Crew, EveryWorkerCarriesPacketsOfOnePeer) {
  Pair pair({.workers = kWorkers}, {.workers = kWorkers});
  ASSERT_EQ(pair.one.queue_count(), kWorkers);
  for (std::uint8_t mark = 1; mark < 50; ++mark) {
    for (std::size_t queue = 0; queue < kWorkers; ++queue) {
      pair.one.send_packet(packet(1, 2, mark), queue);
      EXPECT_EQ(pair.two.receive_packet(), packet(1, 2, mark));
      pair.two.send_packet(packet(2, 1, mark), queue);
      EXPECT_EQ(pair.one.receive_packet(), packet(2, 1, mark));
    }
  }
}

TEST(Crew, AnotherPortIsAnotherPortForAllWorkers) {
  Pair pair({.workers = kWorkers}, {.workers = kWorkers});
  pair.expect_traffic(1);
  ASSERT_EQ(pair.two.set("listen_port=0\n"), "errno=0\n\n");
  ASSERT_EQ(pair.two.queue_count(), 2 * kWorkers - 1U) << "the second worker got a new queue";
  ASSERT_EQ(pair.one.set(pair.peer_two_lines()), "errno=0\n\n");
  pair.one.send_packet(packet(1, 2, 2));
  EXPECT_EQ(pair.two.receive_packet(), packet(1, 2, 2));
  pair.two.send_packet(packet(2, 1, 3), 2 * kWorkers - 2U);
  EXPECT_EQ(pair.one.receive_packet(), packet(2, 1, 3));
}

/// Where a removed peer's datagrams would arrive: a socket that nobody answers from.
class Sink {
 public:
  Sink() : socket_(os::open_udp({.buffer_bytes = 1 << 20}).value()) {}
  [[nodiscard]] std::uint16_t port() const { return os::local_port(socket_).value(); }
  /// True when something arrives within `patience`.
  [[nodiscard]] bool wait(base::Duration patience) const {
    return os::wait_readable(socket_, patience).value();
  }
  /// Datagrams that have arrived since the last call.
  std::size_t take() {
    std::size_t count = 0;
    for (;;) {
      for (auto& slot : slots_) slot.buffer = room_;
      const auto got = os::receive_batch(socket_, slots_);
      if (!got || *got == 0) return count;
      count += *got;
    }
  }

 private:
  os::Fd socket_;
  std::array<std::uint8_t, 2048> room_{};
  std::array<os::UdpReceived, 32> slots_;
};

/// Fills all queues of `rig` with packets to 10.0.0.2 until its end.
class Flood {
 public:
  explicit Flood(Rig& rig) {
    for (std::size_t queue = 0; queue < kWorkers; ++queue) {
      threads_.emplace_back([this, &rig, queue] {
        while (!stop_) {
          if (!rig.try_send_packet(packet(1, 2, 5), queue)) std::this_thread::yield();
        }
      });
    }
  }
  ~Flood() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> threads_;
};

TEST(Crew, NothingOfARemovedPeerLeavesAfterTheAnswer) {
  for (int round = 0; round < 5; ++round) {
    Pair pair({.workers = kWorkers}, {});
    pair.expect_traffic(1);
    Sink sink;
    ASSERT_EQ(pair.one.set(pair.keys_two.peer_line() + endpoint_line(sink.port())), "errno=0\n\n");
    const Flood flood(pair.one);
    const base::Instant deadline = os::now() + kTestPatience;
    std::size_t before = 0;
    while (before < 1000 && os::now() < deadline) before += sink.take();
    ASSERT_GE(before, 1000U) << "both workers send";
    ASSERT_EQ(pair.one.set(pair.keys_two.peer_line() + "remove=true\n"), "errno=0\n\n");
    sink.take();  // what had left before
    EXPECT_FALSE(sink.wait(std::chrono::milliseconds(20)));
  }
}

TEST(Crew, AnEpochIsPassedOnlyWhenTheBatchInWorkHasEnded) {
  base::NullLog log;
  SharedNode shared({}, log);
  const auto loop = os::Loop::create().value();
  Worker first(*loop, shared,
               {.tun_gone = [](const base::Error&) {}, .idle = [] {}, .busy = [] {}});
  Crew crew(shared, first);
  ASSERT_TRUE(crew.start(1));
  auto queue = os::unix_pair(os::UnixType::SeqPacket).value();
  ASSERT_TRUE(crew.dispatch({.tun = std::move(queue.second)}));
  EXPECT_TRUE(crew.pass_epoch());

  const auto in_work = [&] {
    bool any = false;
    crew.for_each([&](const Worker& worker) { any |= worker.epoch() % 2 == 1; });
    return any;
  };
  std::future<base::Status> passed;
  {
    const auto held = shared.lock();  // the worker's batch cannot go on meanwhile
    ASSERT_TRUE(os::send_message(queue.first, packet(1, 2, 1)));
    const base::Instant deadline = os::now() + kTestPatience;
    while (!in_work() && os::now() < deadline) std::this_thread::yield();
    ASSERT_TRUE(in_work());
    passed = std::async(std::launch::async, [&] { return crew.pass_epoch(); });
    EXPECT_EQ(passed.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  }
  EXPECT_TRUE(passed.get());
}

TEST(Crew, ARecalledWorkerHasCarriedWhatWaited) {
  base::NullLog log;
  SharedNode shared({}, log);
  const auto loop = os::Loop::create().value();
  Worker first(*loop, shared,
               {.tun_gone = [](const base::Error&) {}, .idle = [] {}, .busy = [] {}});
  Crew crew(shared, first);
  ASSERT_TRUE(crew.start(1));
  for (int round = 0; round < 3; ++round) {
    auto queue = os::unix_pair(os::UnixType::SeqPacket).value();
    for (std::uint8_t i = 0; i < 100; ++i) {
      ASSERT_TRUE(os::send_message(queue.first, packet(1, 2, i)));
    }
    ASSERT_TRUE(crew.dispatch({.tun = std::move(queue.second)}));
    EXPECT_FALSE(crew.has_parked());
    crew.recall();
    EXPECT_TRUE(crew.has_parked());
    EXPECT_TRUE(os::receive_message(queue.first, 64).value().closed) << "its end is closed";
  }
  std::uint64_t reads = 0;
  crew.for_each([&](const Worker& worker) { reads += worker.counters().tun_reads.get(); });
  EXPECT_EQ(reads, 300U);
}

}  // namespace
}  // namespace warren::engine
