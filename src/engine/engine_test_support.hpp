// For tests: an engine and its opener in threads of one process. The tun is one end of a socket
// pair, the UDP sockets are real ones on the loopback address.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.hpp"
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

class Rig {
 public:
  struct Options {
    bool extension = false;
    bool exit_with_opener = true;
    std::uint16_t mtu = 1420;
    const os::Fd* hints = nullptr;  ///< a duplicate is handed out
  };

  explicit Rig(Options options) {
    auto tun = os::unix_pair(os::UnixType::SeqPacket).value();
    tun_ = std::move(tun.first);
    auto ends = os::unix_pair(os::UnixType::SeqPacket).value();
    Opener::Resources resources;
    resources.tun = std::move(tun.second);
    resources.api_listener = os::unix_listen(os::UnixType::Stream, api_path(), 0600).value();
    if (options.extension) {
      resources.extension =
          os::unix_listen(os::UnixType::SeqPacket, extension_path(), 0600).value();
    }
    if (options.hints != nullptr) resources.hints = options.hints->duplicate().value();
    resources.interface_name = "wg0";
    resources.exit_with_opener = options.exit_with_opener;
    resources.mtu = options.mtu;
    opener_ = std::make_unique<Opener>(std::move(ends.first), std::move(resources));
    opener_thread_ = std::thread([this] { serve(); });
    auto engine = Engine::create(std::move(ends.second), log_);
    engine_ = std::move(engine.value());
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

  /// As if the host had routed a packet into the interface.
  void send_packet(base::Bytes packet) { std::ignore = os::send_message(tun_, packet); }
  /// The next packet out of the interface; empty when none comes within `patience`.
  std::vector<std::uint8_t> receive_packet(base::Duration patience = kTestPatience) {
    if (!os::wait_readable(tun_, patience).value()) return {};
    return os::receive_message(tun_, 65536).value().bytes;
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

  os::ScratchDirectory directory_;
  base::NullLog log_;
  os::Fd tun_;
  std::unique_ptr<Opener> opener_;
  std::unique_ptr<Engine> engine_;
  base::Status result_;
  std::atomic<bool> opener_stopping_ = false;
  std::thread opener_thread_;
  std::thread engine_thread_;
};

}  // namespace warren::engine
