// Theory of operation
//
// The parent holds every privilege and parses no packet: it owns the tun, the listening API socket
// and the UDP sockets, answers the engine's questions for descriptors, and watches four things: the
// link (netlink), the socket file (inotify), the engine (its opener channel and pidfd) and signals.
// Whichever ends first ends everything: the engine is told to stop, killed if it does not, the
// socket file is removed, and the interface goes with the last descriptor of its tun.
//
// Where there are processors for it the tun takes several queues. Until it is restricted to root
// any local user could attach to it, so it is made in a namespace of its own and moved here;
// without the privilege for that it gets one queue. Whoever routes through it may be anybody, so
// super-packets are not limited to what one train of datagrams carries: forwarded ones would be cut
// singly.
//
// In the background: the starter runs the same program in a new session with a pipe, waits for one
// line, "ok" or an error with its hint, and returns. So an error reaches the caller's terminal, and
// nothing of the background process holds the caller's pipes open.
#include "apps/warren-engine/standalone.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "engine/limits.hpp"
#include "engine/opener.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/loop.hpp"
#include "os/path_watch.hpp"
#include "os/process.hpp"
#include "os/resident.hpp"
#include "os/rtnl.hpp"
#include "os/signals.hpp"
#include "os/stream.hpp"
#include "os/tun.hpp"
#include "os/unix_socket.hpp"

namespace warren::app {

namespace {

constexpr std::uint16_t kDefaultMtu = 1420;
constexpr std::uint32_t kTunQueueLength = 1000;
constexpr const char* kSocketDirectory = "/var/run/wireguard";
constexpr base::Duration kStopPatience = std::chrono::seconds(2);
constexpr base::Duration kStartPatience = std::chrono::seconds(30);
constexpr int kReadyFd = 4;
constexpr std::string_view kReady = "ok\n";

class Standalone {
 public:
  Standalone(const StandaloneOptions& options, StderrLog& log)
      : name_(options.interface_name), log_(log), ready_(options.ready_fd) {}

  base::Status run() {
    WARREN_TRY_ASSIGN(loop_, os::Loop::create());
    WARREN_TRY(prepare());
    base::Status served = serve();
    stop_engine();
    if (file_) file_->remove();
    return served;
  }

  /// Tells the starter, if one waits.
  void report(std::string_view text) {
    if (!ready_) return;
    std::ignore = os::write_some(ready_, base::as_bytes(text));
    ready_.reset();
  }

 private:
  base::Status prepare();
  base::Result<os::Tun> make_tun();
  base::Result<os::Tun> open_queues();
  base::Status start_engine(os::Tun tun, os::Fd listener);
  base::Status serve();
  base::Status watch_all();
  void handle_engine();
  void handle_link_change();
  void handle_signal();
  void end(base::LogLevel level, const std::string& why);
  void fail(base::Error error);
  void stop_engine();

  std::string name_;
  StderrLog& log_;
  os::Fd ready_;
  std::unique_ptr<os::Loop> loop_;
  std::optional<os::SignalQueue> signals_;
  std::optional<os::Rtnl> changes_;
  std::optional<os::Rtnl> links_;
  std::optional<os::PathWatch> file_;
  std::optional<engine::Opener> opener_;
  os::Child child_;
  os::Link link_;
  std::uint8_t max_workers_ = 1;
  std::optional<base::Error> failure_;
};

base::Status Standalone::prepare() {
  WARREN_TRY_ASSIGN(auto signals, os::SignalQueue::create({SIGTERM, SIGINT, SIGHUP}));
  signals_ = std::move(signals);
  WARREN_TRY_ASSIGN(auto changes, os::Rtnl::open());
  WARREN_TRY(changes.subscribe());
  changes_ = std::move(changes);
  WARREN_TRY_ASSIGN(auto links, os::Rtnl::open());
  links_ = std::move(links);

  WARREN_TRY(os::make_directories(kSocketDirectory, 0755));
  const std::string path = std::string(kSocketDirectory) + "/" + name_ + ".sock";
  WARREN_TRY_ASSIGN(os::Tun tun, make_tun());
  WARREN_TRY_ASSIGN(os::Fd listener, os::unix_listen(os::UnixType::Stream, path, 0600));
  WARREN_TRY_ASSIGN(auto file, os::PathWatch::create(path));
  file_ = std::move(file);
  return start_engine(std::move(tun), std::move(listener));
}

base::Result<os::Tun> Standalone::make_tun() {
  if (links_->link(name_)) {
    base::Error error =
        base::make_error(base::ErrorKind::Conflict, "interface " + name_ + " exists already",
                         "remove it (ip link delete " + name_ + ") or choose another name");
    error.os_errno = EEXIST;
    return error;
  }
  WARREN_TRY_ASSIGN(os::Tun tun, open_queues());
  name_ = tun.name;
  log_.set_interface(name_);
  WARREN_TRY(links_->set_mtu(name_, kDefaultMtu));
  for (const base::Status& set : {links_->set_queueing(name_, {.queue_length = kTunQueueLength}),
                                  links_->set_noqueue(name_)}) {
    if (!set) log_.write(base::LogLevel::Debug, "engine", set.error().message);
  }
  WARREN_TRY_ASSIGN(link_, links_->link(name_));
  return tun;
}

base::Result<os::Tun> Standalone::open_queues() {
  max_workers_ = static_cast<std::uint8_t>(
      std::clamp(std::thread::hardware_concurrency(), 1U, ipc::kMaxWorkers));
  if (max_workers_ > 1) {
    auto tun = os::open_private_tun({.name = name_, .offloads = true});
    if (tun) return tun;
    log_.write(base::LogLevel::Debug, "engine", "one worker only: " + tun.error().message);
  }
  max_workers_ = 1;
  return os::open_tun({.name = name_, .offloads = true});
}

base::Status Standalone::start_engine(os::Tun tun, os::Fd listener) {
  WARREN_TRY_ASSIGN(auto ends, os::unix_pair(os::UnixType::SeqPacket));
  // An engine that does not read its answers must not keep us from the link and the signals.
  WARREN_TRY(ends.first.set_nonblocking());
  WARREN_TRY_ASSIGN(const std::string program, os::program_path());
  os::SpawnOptions options{.argv = {program, "--opener-fd", std::to_string(ipc::kOpenerFd)},
                           .descriptors = {{ipc::kOpenerFd, &ends.second}},
                           .die_with_parent = true};
  WARREN_TRY_ASSIGN(child_, os::spawn(options));
  ends.second.reset();
  engine::Opener::Resources resources{.tun = std::move(tun.descriptor),
                                      .api_listener = std::move(listener),
                                      .interface_name = name_,
                                      .mtu = kDefaultMtu,
                                      .tun_offloads = tun.offloads,
                                      .max_workers = max_workers_};
  resources.open_queue = [this]() -> base::Result<os::Fd> {
    WARREN_TRY_ASSIGN(os::Tun queue, os::open_tun_queue(name_));
    return std::move(queue.descriptor);
  };
  opener_.emplace(std::move(ends.first), std::move(resources));
  return {};
}

base::Status Standalone::watch_all() {
  WARREN_TRY(loop_->watch(opener_->descriptor(), [this](os::Ready) { handle_engine(); }));
  WARREN_TRY(loop_->watch(child_.pidfd.get(), [this](os::Ready) {
    loop_->forget(child_.pidfd.get());
    fail(base::make_error(base::ErrorKind::Failed, "the engine has ended unexpectedly"));
  }));
  WARREN_TRY(loop_->watch(changes_->descriptor(), [this](os::Ready) { handle_link_change(); }));
  WARREN_TRY(loop_->watch(file_->descriptor(), [this](os::Ready) {
    if (file_->gone()) end(base::LogLevel::Info, "the socket file was removed, ending");
  }));
  return loop_->watch(signals_->descriptor(), [this](os::Ready) { handle_signal(); });
}

base::Status Standalone::serve() {
  WARREN_TRY(watch_all());
  handle_link_change();  // the link may have changed before the watch
  loop_->at(os::now() + engine::kSettled, [] { os::release_memory(); });
  WARREN_TRY(loop_->run());
  if (failure_) return *failure_;
  return {};
}

void Standalone::handle_engine() {
  const auto alive = opener_->handle_readable();
  if (!alive) return fail(alive.error());
  if (!*alive) {
    loop_->forget(opener_->descriptor());
    return fail(base::make_error(base::ErrorKind::Failed, "the engine has ended unexpectedly"));
  }
  if (opener_->greeted() && ready_) report(kReady);
}

void Standalone::handle_link_change() {
  std::ignore = changes_->drain_changes();  // an overrun means "something changed", too
  const auto now = links_->link(name_);
  if (!now && now.error().kind == base::ErrorKind::NotFound) {
    return end(base::LogLevel::Info, "the interface was removed, ending");
  }
  if (!now) return;
  if (now->index != link_.index) return end(base::LogLevel::Info, "the interface was replaced");
  const bool link_changed = now->up != link_.up || now->mtu != link_.mtu;
  link_ = *now;
  const auto told = link_changed
                        ? opener_->notify(ipc::LinkChanged{
                              .up = link_.up, .mtu = static_cast<std::uint16_t>(link_.mtu)})
                        : opener_->notify(ipc::NetworkChanged{});
  std::ignore = told;  // an engine that is gone shows itself on its own channel
}

void Standalone::handle_signal() {
  const auto signal = signals_->poll();
  if (!signal || *signal == SIGHUP) return;
  end(base::LogLevel::Info, "ended by a signal");
}

void Standalone::end(base::LogLevel level, const std::string& why) {
  log_.write(level, "engine", why);
  loop_->stop();
}

void Standalone::fail(base::Error error) {
  // An engine whose interface was removed may notice it before netlink tells us: no failure.
  const auto link = links_->link(name_);
  const bool removed = !link && link.error().kind == base::ErrorKind::NotFound;
  if (!removed && !failure_) failure_ = std::move(error);
  loop_->stop();
}

void Standalone::stop_engine() {
  if (!opener_) return;
  std::ignore = opener_->notify(ipc::Shutdown{});
  const auto ended = os::wait_readable(child_.pidfd, kStopPatience);
  if (!ended || !*ended) std::ignore = os::send_signal(child_.pidfd, SIGKILL);
  std::ignore = os::wait_for(child_);
}

}  // namespace

base::Status check_interface_name(const std::string& name) {
  constexpr std::size_t kMaxName = 15;
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '=' || c == '+' || c == '.' || c == '-';
  });
  if (plain && !name.empty() && name.size() <= kMaxName && name != "." && name != "..") return {};
  return base::make_error(base::ErrorKind::Invalid, "'" + name + "' is no interface name",
                          "use 1 to 15 characters out of a-z A-Z 0-9 _ = + . -");
}

base::Status run_standalone(const StandaloneOptions& options, StderrLog& log) {
  log.set_interface(options.interface_name);
  Standalone standalone(options, log);
  base::Status status = standalone.run();
  if (!status) {
    const base::Error& error = status.error();
    standalone.report(error.message + "\n" + error.hint);
  }
  return status;
}

base::Status start_in_background(const std::string& interface_name, const StderrLog& log) {
  WARREN_TRY_ASSIGN(auto ends, os::unix_pair(os::UnixType::Stream));
  WARREN_TRY_ASSIGN(const std::string program, os::program_path());
  os::SpawnOptions options{
      .argv = {program, "--foreground", "--ready-fd", std::to_string(kReadyFd), interface_name},
      .descriptors = {{kReadyFd, &ends.second}},
      .new_session = true,
      .working_directory = "/"};
  WARREN_TRY_ASSIGN(const os::Fd null, os::open_null());
  if (!log.is_verbose()) {
    options.descriptors[1] = &null;
    options.descriptors[2] = &null;
  }
  WARREN_TRY_ASSIGN(const os::Child child, os::spawn(options));
  ends.second.reset();

  std::string text;
  std::array<std::uint8_t, 4096> room;
  const base::Instant deadline = os::now() + kStartPatience;
  while (text != kReady) {
    WARREN_TRY_ASSIGN(const bool readable, os::wait_readable(ends.first, deadline - os::now()));
    if (!readable) return base::os_error("wait for the engine's start", ETIMEDOUT);
    WARREN_TRY_ASSIGN(const auto got, os::read_some(ends.first, room));
    if (!got) break;
    text.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*got));
  }
  if (text == kReady) return {};
  const std::size_t end = text.find('\n');
  return base::make_error(
      base::ErrorKind::Failed,
      end == 0 || text.empty() ? "the engine did not start" : text.substr(0, end),
      end == std::string::npos ? "" : text.substr(end + 1));
}

}  // namespace warren::app
