// For tests: an engine and its opener in threads of one process. The tun is one end of a socket
// pair, the UDP sockets are real ones on the loopback address.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/crypto.hpp"
#include "engine/engine.hpp"
#include "engine/opener.hpp"
#include "ipc/hints.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "os/scratch_directory.hpp"
#include "os/stream.hpp"
#include "os/unix_socket.hpp"

namespace warren::engine {

inline constexpr base::Duration kTestPatience = std::chrono::seconds(10);

/// One connection to a userspace API socket.
class ApiClient {
 public:
  explicit ApiClient(const std::string& path)
      : socket_(std::move(os::unix_connect(os::UnixType::Stream, path).value())) {}

  void send(std::string_view text) {
    while (!text.empty()) {
      const auto sent = os::write_some(socket_, base::as_bytes(text));
      if (!sent) return;
      text.remove_prefix(*sent);
    }
  }
  /// Reads up to the empty line that ends an answer; what came when the connection is closed.
  std::string receive() {
    std::string text;
    std::array<std::uint8_t, 4096> room;
    while (!text.ends_with("\n\n")) {
      if (!os::wait_readable(socket_, kTestPatience).value()) return text + "(timeout)";
      const auto got = os::read_some(socket_, room);
      if (!got || !*got) break;
      text.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(**got));
    }
    return text;
  }
  std::string ask(std::string_view text) {
    send(text);
    return receive();
  }

 private:
  os::Fd socket_;
};

/// Keeps every line.
class RecordingLog final : public base::Log {
 public:
  void write(base::LogLevel, std::string_view, std::string_view message) override {
    const std::lock_guard hold(mutex_);
    lines_.emplace_back(message);
  }
  [[nodiscard]] std::size_t count(std::string_view beginning) {
    const std::lock_guard hold(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(
        lines_, [&](const std::string& line) { return line.starts_with(beginning); }));
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

class Rig {
 public:
  struct Options {
    bool extension = false;
    bool exit_with_opener = true;
    std::uint16_t mtu = 1420;
    const os::Fd* hints = nullptr;  ///< a duplicate is handed out
    std::uint8_t workers = 1;       ///< at work from the start, each with its own queue
  };

  explicit Rig(Options options) {
    os::Fd tun = new_queue();
    auto ends = os::unix_pair(os::UnixType::SeqPacket).value();
    Opener::Resources resources;
    resources.tun = std::move(tun);
    resources.api_listener = os::unix_listen(os::UnixType::Stream, api_path(), 0600).value();
    if (options.extension) {
      resources.extension =
          os::unix_listen(os::UnixType::SeqPacket, extension_path(), 0600).value();
    }
    if (options.hints != nullptr) resources.hints = options.hints->duplicate().value();
    resources.interface_name = "wg0";
    resources.exit_with_opener = options.exit_with_opener;
    resources.mtu = options.mtu;
    resources.max_workers = options.workers;
    resources.open_queue = [this]() -> base::Result<os::Fd> { return new_queue(); };
    opener_ = std::make_unique<Opener>(std::move(ends.first), std::move(resources));
    opener_thread_ = std::thread([this] { serve(); });
    Engine::Options engine_options;
    engine_options.min_workers = options.workers;
    auto engine = Engine::create(std::move(ends.second), log_, engine_options);
    engine_ = std::move(engine.value());
    std::ignore = engine_->start_crew();
    engine_thread_ = std::thread([this] { result_ = engine_->run(); });
  }
  ~Rig() {
    if (engine_thread_.joinable()) std::ignore = stop();
    close_opener();
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  [[nodiscard]] std::string api_path() const { return directory_ / "wg0.sock"; }
  [[nodiscard]] std::string extension_path() const { return directory_ / "wg0.ext"; }
  [[nodiscard]] std::string ask(std::string_view text) { return ApiClient(api_path()).ask(text); }
  [[nodiscard]] std::string set(const std::string& lines) { return ask("set=1\n" + lines + "\n"); }
  [[nodiscard]] ipc::UapiStatus status() {
    return std::move(ipc::parse_uapi_status(ask("get=1\n\n")).value());
  }

  /// As if the host had routed a packet into the interface, whose queue it chose.
  void send_packet(base::Bytes packet, std::size_t queue = 0) {
    std::ignore = os::send_message(queue_end(queue), packet);
  }
  /// As send_packet, but false when the queue is full.
  bool try_send_packet(base::Bytes packet, std::size_t queue) {
    pollfd room{.fd = queue_end(queue).get(), .events = POLLOUT, .revents = 0};
    if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) return false;
    return os::send_message(queue_end(queue), packet).has_value();
  }
  /// The next packet out of the interface, from any queue; empty when none comes within `patience`.
  std::vector<std::uint8_t> receive_packet(base::Duration patience = kTestPatience) {
    const base::Instant deadline = os::now() + patience;
    for (;;) {
      std::vector<pollfd> ends;
      for (std::size_t i = 0; i < queue_count(); ++i) {
        ends.push_back({.fd = queue_end(i).get(), .events = POLLIN, .revents = 0});
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - os::now());
      if (left.count() < 0 || poll(ends.data(), ends.size(), static_cast<int>(left.count())) <= 0) {
        return {};
      }
      for (std::size_t i = 0; i < ends.size(); ++i) {
        if ((ends[i].revents & (POLLIN | POLLHUP)) == 0) continue;
        auto message = os::receive_message(queue_end(i), 65536).value();
        if (!message.closed) return std::move(message.bytes);
        close_queue_end(i);  // poll() passes over it from now on
      }
    }
  }
  [[nodiscard]] std::size_t queue_count() {
    const std::lock_guard hold(queues_mutex_);
    return queues_.size();
  }

  /// Of an engine that has ended.
  [[nodiscard]] const std::string& counters() const { return counters_; }
  /// False when it has not logged a line that begins so after a while, in which it is asked
  /// things.
  [[nodiscard]] bool logs(std::string_view beginning) {
    const base::Instant deadline = os::now() + kTestPatience;
    while (log_.count(beginning) == 0 && os::now() < deadline) std::ignore = status();
    return log_.count(beginning) != 0;
  }

  void notify(const ipc::OpenerBody& notice) { std::ignore = opener_->notify(notice); }
  /// The opener's process ends, as far as the engine can tell.
  void close_opener() {
    opener_stopping_ = true;
    if (opener_thread_.joinable()) opener_thread_.join();
    opener_.reset();
  }
  /// Ends the engine by a notice and returns what run() said.
  base::Status stop() {
    if (opener_) notify(ipc::Shutdown{});
    return wait();
  }
  base::Status wait() {
    engine_thread_.join();
    counters_ = engine_->counters();
    engine_.reset();
    return result_;
  }

 private:
  void serve() {
    os::Fd watched(opener_->descriptor());
    while (!opener_stopping_) {
      const auto readable = os::wait_readable(watched, std::chrono::milliseconds(5));
      if (!readable || !*readable) continue;
      const auto alive = opener_->handle_readable();
      if (!alive || !*alive) break;
    }
    std::ignore = watched.release();  // the opener owns it
  }

  /// The engine's end of one more queue of the interface.
  os::Fd new_queue() {
    auto ends = os::unix_pair(os::UnixType::SeqPacket).value();
    const std::lock_guard hold(queues_mutex_);
    queues_.push_back(std::move(ends.first));
    return std::move(ends.second);
  }
  void close_queue_end(std::size_t index) {
    const std::lock_guard hold(queues_mutex_);
    queues_.at(index).reset();
  }
  const os::Fd& queue_end(std::size_t index) {
    const std::lock_guard hold(queues_mutex_);
    return queues_.at(index);
  }

  os::ScratchDirectory directory_;
  RecordingLog log_;
  std::mutex queues_mutex_;
  std::deque<os::Fd> queues_;  // our ends; the engine's first worker has the first
  std::unique_ptr<Opener> opener_;
  std::unique_ptr<Engine> engine_;
  base::Status result_;
  std::string counters_;
  std::atomic<bool> opener_stopping_ = false;
  std::thread opener_thread_;
  std::thread engine_thread_;
};

struct KeyPair {
  KeyPair() {
    os::SystemRandom random;
    private_key = crypto::generate_private_key(random);
    public_key = crypto::public_key(private_key);
  }
  [[nodiscard]] std::string private_line() const {
    return "private_key=" + base::to_hex(private_key.view()) + "\n";
  }
  [[nodiscard]] std::string peer_line() const { return "public_key=" + public_key.hex() + "\n"; }
  crypto::PrivateKey private_key;
  base::PublicKey public_key;
};

/// An IPv4 packet from 10.0.0.`from` to 10.0.0.`to`; nobody here looks at its checksum.
inline std::vector<std::uint8_t> packet(std::uint8_t from, std::uint8_t to, std::uint8_t mark) {
  std::vector<std::uint8_t> bytes(24, mark);
  base::ByteWriter out(bytes);
  out.u8(0x45).u8(0).u16_be(24).u32_be(0).u8(64).u8(17).u16_be(0);
  out.u8(10).u8(0).u8(0).u8(from).u8(10).u8(0).u8(0).u8(to);
  return bytes;
}

inline std::string endpoint_line(std::uint16_t port) {
  return "endpoint=127.0.0.1:" + std::to_string(port) + "\n";
}

/// Rig `one` is 10.0.0.1 and knows where 10.0.0.2 is.
struct Pair {
  Pair(Rig::Options first, Rig::Options second) : one(first), two(second) {
    EXPECT_EQ(two.set(keys_two.private_line() + keys_one.peer_line() + "allowed_ip=10.0.0.1/32\n"),
              "errno=0\n\n");
    EXPECT_EQ(one.set(keys_one.private_line() + peer_two_lines()), "errno=0\n\n");
  }
  std::string peer_two_lines() {
    return keys_two.peer_line() + endpoint_line(two.status().listen_port) +
           "allowed_ip=10.0.0.2/32\n";
  }
  void expect_traffic(std::uint8_t mark) {
    one.send_packet(packet(1, 2, mark));
    EXPECT_EQ(two.receive_packet(), packet(1, 2, mark));
    two.send_packet(packet(2, 1, mark));
    EXPECT_EQ(one.receive_packet(), packet(2, 1, mark));
  }
  KeyPair keys_one;
  KeyPair keys_two;
  Rig one;
  Rig two;
};

}  // namespace warren::engine
