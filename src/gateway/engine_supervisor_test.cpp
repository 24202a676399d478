// With the real engine program, a tun in a namespace of the test's own, and stock files. Needs
// root; says so and skips without.
#include "gateway/engine_supervisor.hpp"

#include <fcntl.h>

#include <chrono>
#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "crypto/crypto.hpp"
#include "gateway/limits.hpp"
#include "ipc/hints.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/netns.hpp"
#include "os/process.hpp"
#include "os/rtnl.hpp"
#include "os/tun.hpp"
#include "os/udp.hpp"

namespace warren::gateway {
namespace {

namespace fs = std::filesystem;

class EngineSupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    auto program = find_engine_program();
    if (!program) GTEST_SKIP() << "no engine program: " << program.error().message;
    program_ = *program;
    network_.network.id = {random_.u32() | 1U};
    network_.network.name = "wt" + network_.network.id.hex();
    const crypto::PrivateKey key = crypto::generate_private_key(random_);
    std::ranges::copy(key.view(), network_.gateway_private_key.begin());
    network_.network.gateway_key = crypto::public_key(key);
    network_.network.port = free_port();
    run_dir_ = fs::temp_directory_path() / network_.network.name;
    auto netns = os::create_named_netns("warren-" + network_.network.name);
    if (!netns) GTEST_SKIP() << "needs root: " << netns.error().message;
    made_netns_ = true;
    // As hostnet does it: a persistent multi-queue device, restricted to root, up.
    const auto made = os::in_netns(*netns, [this]() -> base::Status {
      const std::string name = network_.network.id.interface_name();
      WARREN_TRY(
          os::open_tun({.name = name, .multi_queue = true, .offloads = true, .persistent = true}));
      WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
      return rtnl.set_up(name, true);
    });
    ASSERT_TRUE(made.has_value()) << made.error().message;
    start_daemon();
  }

  void TearDown() override {
    if (supervisor_) (void)supervisor_->stop(network_.network.id);
    if (made_netns_) {
      (void)end_recorded(run_dir_, network_.network.id);
      EXPECT_TRUE(os::delete_named_netns("warren-" + network_.network.name).has_value());
      fs::remove_all(run_dir_);
    }
  }

  static std::uint16_t free_port() {
    const auto socket = os::open_udp({});
    return socket ? *os::local_port(*socket) : std::uint16_t{0};
  }

  void start_daemon() {
    io_ = std::make_unique<boost::asio::io_context>();
    supervisor_ = std::make_unique<EngineSupervisor>(
        EngineEnvironment{.io = *io_, .log = log_, .run_dir = run_dir_, .program = program_});
  }
  /// As if the daemon were killed: its descriptors close, nothing else happens.
  void kill_daemon() {
    supervisor_.reset();
    io_.reset();
  }

  base::Status start(const std::vector<control::EnginePeer>& peers = {}) {
    return supervisor_->start(network_, peers);
  }
  EngineRecord record() const {
    const auto read = read_record(EngineFiles::of(run_dir_, network_.network.id));
    return read ? *read : EngineRecord{};
  }
  std::vector<base::PublicKey> peer_keys() {
    std::vector<base::PublicKey> out;
    const auto peers = supervisor_->peers(network_.network.id);
    EXPECT_TRUE(peers.has_value()) << peers.error().message;
    if (peers)
      for (const auto& peer : *peers) out.push_back(peer.public_key);
    return out;
  }
  void send_to_engine(int signal) {
    const EngineRecord current = record();
    const auto process = os::open_pidfd(current.pid, current.start_time);
    ASSERT_TRUE(process.has_value());
    ASSERT_TRUE(os::send_signal(*process, signal).has_value());
    if (signal != SIGKILL) return;
    ASSERT_TRUE(*os::wait_readable(*process, std::chrono::seconds(5)));
  }
  /// Runs the daemon's context until another engine runs.
  base::Duration run_until_replaced(pid_t former) {
    const base::Instant begin = os::now();
    const base::Instant deadline = begin + std::chrono::seconds(10);
    while (os::now() < deadline) {
      io_->run_for(std::chrono::milliseconds(2));
      if (io_->stopped()) io_->restart();
      if (record().pid != former &&
          supervisor_->state(network_.network.id) == control::EngineState::Running)
        break;
    }
    return os::now() - begin;
  }

  static control::EnginePeer peer(std::uint8_t fill) {
    control::EnginePeer out;
    out.public_key.bytes.fill(fill);
    out.public_key.bytes[31] = 1;
    out.allowed_ips = {base::Prefix::host(base::IpAddress::v4({10, 0, 0, fill}))};
    return out;
  }

  os::SystemRandom random_;
  base::NullLog log_;
  std::string program_;
  fs::path run_dir_;
  store::StoredNetwork network_;
  bool made_netns_ = false;
  std::unique_ptr<boost::asio::io_context> io_;
  std::unique_ptr<EngineSupervisor> supervisor_;
};

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST_F(EngineSupervisorTest, StartsConfiguresAndStops) {
  const auto started = start({peer(2)});
  ASSERT_TRUE(started.has_value()) << started.error().message << " " << started.error().hint;
  EXPECT_EQ(supervisor_->state(network_.network.id), control::EngineState::Running);
  EXPECT_THAT(peer_keys(), ElementsAre(peer(2).public_key));
  EXPECT_TRUE(supervisor_->add_peer(network_.network.id, peer(3)).has_value());
  EXPECT_THAT(peer_keys(), UnorderedElementsAre(peer(2).public_key, peer(3).public_key));
  EXPECT_TRUE(supervisor_->remove_peer(network_.network.id, peer(2).public_key).has_value());
  EXPECT_THAT(peer_keys(), ElementsAre(peer(3).public_key));

  const EngineFiles files = EngineFiles::of(run_dir_, network_.network.id);
  const EngineRecord running = record();
  EXPECT_TRUE(fs::exists(files.api_socket));
  EXPECT_TRUE(supervisor_->stop(network_.network.id).has_value());
  EXPECT_FALSE(os::open_pidfd(running.pid, running.start_time).has_value());
  for (const auto& path : {files.record, files.control, files.log, files.api_socket})
    EXPECT_FALSE(fs::exists(path)) << path;
}

TEST_F(EngineSupervisorTest, PortOfAnotherProgramIsRefusedAndNothingStays) {
  const auto taken = os::open_udp({.port = network_.network.port});
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(supervisor_->check_port(network_.network.port, {}).error().kind,
            base::ErrorKind::Conflict);
  const auto started = start();
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().os_errno, EADDRINUSE) << started.error().message;
  EXPECT_FALSE(fs::exists(EngineFiles::of(run_dir_, network_.network.id).api_socket));
  EXPECT_EQ(record().pid, 0);
}

TEST_F(EngineSupervisorTest, KilledEngineIsReplacedWithItsConfiguration) {
  ASSERT_TRUE(start({peer(2)}).has_value());
  const pid_t former = record().pid;
  send_to_engine(SIGKILL);
  const base::Duration took = run_until_replaced(former);
  RecordProperty("restart_us", std::to_string(took.count() / 1000));
  EXPECT_NE(record().pid, former);
  EXPECT_THAT(peer_keys(), ElementsAre(peer(2).public_key));
}

TEST_F(EngineSupervisorTest, EngineThatKeepsDyingIsRestartedSlowly) {
  ASSERT_TRUE(start().has_value());
  for (unsigned i = 0; i < kFastRestarts; ++i) {
    const pid_t former = record().pid;
    send_to_engine(SIGKILL);
    run_until_replaced(former);
  }
  const pid_t former = record().pid;
  send_to_engine(SIGKILL);
  EXPECT_FALSE(supervisor_->peers(network_.network.id).has_value());  // notices the end itself
  EXPECT_EQ(supervisor_->state(network_.network.id), control::EngineState::Restarting);
  EXPECT_GE(run_until_replaced(former), kFirstBackoff - std::chrono::milliseconds(20));
  EXPECT_EQ(supervisor_->state(network_.network.id), control::EngineState::Running);
}

TEST_F(EngineSupervisorTest, NextDaemonAdoptsAndRemovesWhatIsNotWanted) {
  ASSERT_TRUE(start({peer(2), peer(3)}).has_value());
  const EngineRecord before = record();
  kill_daemon();
  start_daemon();
  const auto adopted = start({peer(3), peer(4)});
  ASSERT_TRUE(adopted.has_value()) << adopted.error().message;
  EXPECT_EQ(record().pid, before.pid);
  EXPECT_EQ(record().start_time, before.start_time);
  EXPECT_THAT(peer_keys(), UnorderedElementsAre(peer(3).public_key, peer(4).public_key));
  // An adopted engine is supervised like any other.
  send_to_engine(SIGKILL);
  run_until_replaced(before.pid);
  EXPECT_NE(record().pid, before.pid);
  EXPECT_THAT(peer_keys(), UnorderedElementsAre(peer(3).public_key, peer(4).public_key));
}

TEST_F(EngineSupervisorTest, StuckEngineIsReplacedByTheNextDaemon) {
  ASSERT_TRUE(start({peer(2)}).has_value());
  const EngineRecord before = record();
  send_to_engine(SIGSTOP);
  kill_daemon();
  start_daemon();
  const auto replaced = start({peer(2)});
  ASSERT_TRUE(replaced.has_value()) << replaced.error().message;
  EXPECT_NE(record().pid, before.pid);
  EXPECT_THAT(peer_keys(), ElementsAre(peer(2).public_key));
}

TEST_F(EngineSupervisorTest, PeerIsGoneEvenFromAStuckEngine) {
  ASSERT_TRUE(start({peer(2), peer(3)}).has_value());
  const EngineRecord before = record();
  send_to_engine(SIGSTOP);
  const auto removed = supervisor_->remove_peer(network_.network.id, peer(2).public_key);
  EXPECT_TRUE(removed.has_value()) << removed.error().message;
  EXPECT_FALSE(os::open_pidfd(before.pid, before.start_time).has_value());
  EXPECT_THAT(peer_keys(), ElementsAre(peer(3).public_key));
}

// The daemon's side of the memory that it shares with an engine.
base::Result<os::Mapping> open_hints() {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const fs::path target = fs::read_symlink(entry.path(), error);
    if (error || !target.string().starts_with("/memfd:warren-hints")) continue;
    const os::Fd hints(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
    return os::Mapping::create(hints);
  }
  return base::make_error(base::ErrorKind::NotFound, "this process has no hints");
}

TEST_F(EngineSupervisorTest, WhereMembersAreOutlivesAStopAndNotTheNetwork) {
  const auto place = base::Endpoint::parse("127.0.0.1:9");
  ASSERT_TRUE(place.has_value());
  ASSERT_TRUE(start({peer(2), peer(3)}).has_value());
  {
    const auto memory = open_hints();
    ASSERT_TRUE(memory.has_value()) << memory.error().message;
    auto table = ipc::HintsTable::open(memory->bytes());
    ASSERT_TRUE(table.has_value());
    for (const std::uint8_t one : {std::uint8_t{2}, std::uint8_t{3}})
      ASSERT_TRUE(
          table->put(peer(one).public_key, {.endpoint = *place, .last_activity = os::now()}));
  }
  ASSERT_TRUE(supervisor_->stop(network_.network.id).has_value());
  // Peer 2 was revoked meanwhile: it is in the table, and nobody looks for it.
  ASSERT_TRUE(start({peer(3), peer(4)}).has_value());
  const auto peers = supervisor_->peers(network_.network.id);
  ASSERT_TRUE(peers.has_value()) << peers.error().message;
  ASSERT_EQ(peers->size(), 2U);
  for (const auto& one : *peers) {
    EXPECT_NE(one.public_key, peer(2).public_key);
    EXPECT_EQ(one.endpoint, one.public_key == peer(3).public_key ? place : std::nullopt);
  }
  ASSERT_TRUE(supervisor_->stop(network_.network.id).has_value());
  EXPECT_TRUE(open_hints().has_value()) << "kept while it is stopped";
  supervisor_->forget(network_.network.id);
  EXPECT_FALSE(open_hints().has_value());
  ASSERT_TRUE(start({peer(3)}).has_value());
  EXPECT_FALSE(supervisor_->peers(network_.network.id).value().at(0).endpoint.has_value());
}

TEST_F(EngineSupervisorTest, EngineWithoutANetworkIsEnded) {
  ASSERT_TRUE(start().has_value());
  const EngineRecord before = record();
  kill_daemon();
  start_daemon();
  EXPECT_TRUE(supervisor_->end_unwanted({network_.network.id}).has_value());
  EXPECT_EQ(record().pid, before.pid);
  EXPECT_TRUE(supervisor_->end_unwanted({}).has_value());
  EXPECT_EQ(record().pid, 0);
  EXPECT_FALSE(fs::exists(EngineFiles::of(run_dir_, network_.network.id).api_socket));
}

}  // namespace
}  // namespace warren::gateway
