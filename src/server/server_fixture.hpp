// A whole server for tests: real sockets in a directory of its own, a real Control over a store in
// memory and a fake host, and a thread that runs it all as the daemon's would.
#pragma once

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/control_fakes.hpp"
#include "os/clock.hpp"
#include "os/fd.hpp"
#include "os/unix_socket.hpp"
#include "pki/identity.hpp"
#include "server/server.hpp"

namespace warren::server::testing {

/// A directory that goes with its content.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = "/tmp/warren-test-XXXXXX";
    path_ = ::mkdtemp(name.data());
    ::chmod(path_.c_str(), 0755);
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Ends the program when what a test is built on cannot be had.
template <typename T>
void require(const base::Result<T>& result) {
  if (result) return;
  std::fprintf(stderr, "test set-up: %s\n", result.error().message.c_str());
  std::abort();
}

class TestServer {
 public:
  explicit TestServer(Limits limits = {}, Reload reload = {})
      : identity(*pki::create_identity()), gateway(settings_with(identity)) {
    gateway.clock.time = os::wall_now();
    Options options;
    options.socket_path = socket_path();
    options.group = "no-such-group-here";
    options.enrol_listen = "127.0.0.1:0";
    options.admin_listen = "127.0.0.1:0";
    options.identity_key_pem = identity.private_key_pem;
    options.make_certificate = [this] {
      ++certificates;
      return pki::self_signed_certificate(identity, wall_clock(), 90);
    };
    options.wall_clock = [this] { return wall_clock(); };
    options.reload = std::move(reload);
    options.limits = limits;
    auto made = Server::create(io, *gateway.control, gateway.log, std::move(options));
    require(made);
    server = std::move(*made);
    control::Settings settings = gateway.used;
    settings.enrol_at = "127.0.0.1:" + std::to_string(server->enrol_port());
    settings.admin_at = "127.0.0.1:" + std::to_string(server->admin_port());
    gateway.control->set_settings(settings);
    thread_ = std::thread([this] { io.run(); });
  }
  ~TestServer() {
    on_io([this] { server->stop(); });
    work_.reset();
    thread_.join();
  }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  /// Runs `work` on the server's thread and waits.
  void on_io(const std::function<void()>& work) {
    std::promise<void> done;
    boost::asio::post(io, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  [[nodiscard]] std::string socket_path() const { return scratch.path() + "/warren.sock"; }
  /// A fresh invitation's token.
  [[nodiscard]] model::TokenText token(const std::string& network, const std::string& name) {
    base::Result<api::Invitation> invitation = base::make_error(base::ErrorKind::Internal, "");
    on_io([&] { invitation = gateway.invite(network, name); });
    require(invitation);
    return *model::TokenText::parse(invitation->token);
  }
  void create_network(const std::string& name) {
    on_io([&] { require(gateway.create(name)); });
  }

  ScratchDirectory scratch;
  pki::Identity identity;
  control::testing::Gateway gateway;
  std::atomic<int> certificates = 0;
  std::atomic<int> days_later = 0;  ///< that the listeners' certificate sees
  [[nodiscard]] base::WallTime wall_clock() const {
    return os::wall_now() + std::chrono::hours(24 * days_later);
  }
  boost::asio::io_context io{1};
  std::unique_ptr<Server> server;

 private:
  static control::Settings settings_with(const pki::Identity& identity) {
    control::Settings settings = control::testing::settings();
    settings.identity_pin = identity.pin;
    return settings;
  }
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io.get_executor()};
  std::thread thread_;
};

/// Sends bytes and reads until the server closes, or `at_most_ms` without a byte.
[[nodiscard]] inline std::string read_to_end(int socket, int at_most_ms = 10'000) {
  std::string got;
  std::array<char, 4096> piece;
  while (true) {
    pollfd ready{.fd = socket, .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, at_most_ms) <= 0) return got + "<still open>";
    const ssize_t size = ::read(socket, piece.data(), piece.size());
    if (size <= 0) return got;
    got.append(piece.data(), static_cast<std::size_t>(size));
  }
}
inline void send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}
/// A whole conversation over the unix socket.
[[nodiscard]] inline std::string talk(const std::string& path, std::string_view bytes) {
  const auto socket = os::unix_connect(os::UnixType::Stream, path);
  if (!socket) return "<no connection>";
  send_all(socket->get(), bytes);
  return read_to_end(socket->get());
}

}  // namespace warren::server::testing
