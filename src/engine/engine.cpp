// Theory of operation
//
// The first worker's loop is the engine's: it carries packets (worker.hpp) and does everything
// else, too: the opener, the userspace API, the load. Further workers wait on threads of their own
// (crew.hpp). Once a second it is looked at how busy those at work are; when all are, the opener is
// asked for one more queue and pair of sockets and a parked worker gets them; after half a minute
// of quiet the last one gives them back. A worker more pays only where flows can be spread: the
// kernel's hashes keep a peer's flows on one.
//
// Configuration happens on this thread, under the node's lock. The answer to a `set` that removes a
// peer is written when every worker has passed an epoch: the node has forgotten the peer, and
// batches that may have known it are done; no packet of it can pass afterwards.
#include "engine/engine.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "engine/limits.hpp"
#include "os/process.hpp"
#include "os/resident.hpp"
#include "os/unix_socket.hpp"

namespace warren::engine {

Engine::Engine(std::unique_ptr<os::Loop> loop, base::Log& log, const Options& options)
    : log_(log),
      loop_(std::move(loop)),
      max_peers_(options.node.max_peers),
      max_workers_(options.max_workers),
      min_workers_(options.min_workers),
      shared_(options.node, log),
      worker_(*loop_, shared_,
              {.tun_gone = [this](const base::Error& error) { handle_tun_gone(error); },
               .idle = [this] { handle_idle(); },
               .busy = [this] { note_busy(); }}),
      crew_(shared_, worker_),
      load_(options.quiet_for) {}

Engine::~Engine() = default;

base::Result<std::unique_ptr<Engine>> Engine::create(os::Fd opener, base::Log& log,
                                                     Options options) {
  WARREN_TRY_ASSIGN(auto loop, os::Loop::create());
  std::unique_ptr<Engine> engine(new Engine(std::move(loop), log, options));
  WARREN_TRY(opener.set_nonblocking());  // a notice is dropped rather than waited for
  engine->opener_ = OpenerChannel(std::move(opener));
  WARREN_TRY_ASSIGN(auto answer, engine->opener_.ask(ipc::Hello{}));
  WARREN_TRY(engine->take_over(std::move(answer)).within("take over from the opener"));
  WARREN_TRY(engine->watch_all());
  return engine;
}

base::Status Engine::take_over(OpenerChannel::Answer answer) {
  const auto* reply = std::get_if<ipc::HelloReply>(&answer.body);
  if (reply == nullptr || reply->version != ipc::kOpenerVersion) {
    return base::make_error(base::ErrorKind::Invalid, "the opener speaks another version",
                            "install warren and warren-engine of one release");
  }
  const std::size_t expected = 2U + (reply->extension ? 1 : 0) + (reply->hints ? 1 : 0);
  if (answer.descriptors.size() != expected) {
    return base::make_error(base::ErrorKind::Invalid, "the opener sent the wrong descriptors");
  }
  auto next = answer.descriptors.begin();
  name_ = reply->interface_name;
  exit_with_opener_ = reply->exit_with_opener;
  os::Fd tun = std::move(*next++);
  os::Fd listener = std::move(*next++);
  if (reply->extension) extension_ = std::move(*next++);
  {
    auto node = shared_.lock();
    node->set_mtu(reply->mtu);
    if (reply->hints) {
      WARREN_TRY_ASSIGN(node.hints(), HintsKeeper::create(std::move(*next++)));
    }
  }
  WARREN_TRY(worker_.set_tun(std::move(tun), os::TunOffloads::from_byte(reply->tun_offloads)));
  const std::size_t processors =
      std::max<std::size_t>(min_workers_, std::thread::hardware_concurrency());
  max_workers_ = std::min(
      {max_workers_, kMaxWorkers, processors, std::max<std::size_t>(1, reply->max_workers)});
  WARREN_TRY_ASSIGN(api_, ApiServer::create(*loop_, std::move(listener), *this));
  return {};
}

base::Status Engine::start_crew() {
  // Too few threads are no reason not to work: a user's limit may be reached.
  if (const auto started = crew_.start(max_workers_ - 1); !started) {
    log_line(base::LogLevel::Warning, started.error().message);
  }
  return {};
}

base::Status Engine::watch_all() {
  if (extension_) {
    WARREN_TRY(extension_.set_nonblocking());
    WARREN_TRY(loop_->watch(extension_.get(), [this](os::Ready) { handle_adoption(); }));
  }
  WARREN_TRY_ASSIGN(clocks_, os::ClockWatch::create());
  WARREN_TRY(loop_->watch(clocks_->descriptor(), [this](os::Ready) { handle_clocks(); }));
  return watch_opener();
}

base::Status Engine::run() {
  handle_notices();
  report();
  loop_->at(os::now() + kSettled, [] { os::release_memory(); });
  WARREN_TRY(loop_->run());
  log_line(base::LogLevel::Debug, counters());
  if (failure_) return *failure_;
  return {};
}

void Engine::log_line(base::LogLevel level, std::string_view message) {
  log_.write(level, "engine", message);
}

void Engine::handle_tun_gone(const base::Error& error) {
  failure_ = base::make_error(base::ErrorKind::Unavailable,
                              "interface " + name_ + " is gone: " + error.message);
  loop_->stop();
}

void Engine::handle_clocks() {
  const os::ClockJump jump = clocks_->look();
  if (jump == os::ClockJump{}) return;
  const auto seconds = [](base::Duration time) {
    return std::to_string(std::chrono::round<std::chrono::seconds>(time).count()) + " s";
  };
  if (jump.wall_step != base::Duration(0)) {
    ++clock_steps_;
    log_line(base::LogLevel::Info, "the wall clock was set by " + seconds(jump.wall_step));
  }
  if (jump.suspended != base::Duration(0)) {
    ++suspends_;
    log_line(base::LogLevel::Info, "the host was suspended for " + seconds(jump.suspended));
    wake_active_peers(os::now() - jump.suspended);
  }
  report();
}

void Engine::note_busy() {
  busy_ = true;
  if (std::exchange(load_ticking_, true)) return;
  loop_->at(os::now(), [this] { handle_load_tick(); });  // not within the batch that said so
}

void Engine::handle_load_tick() {
  const base::Instant now = os::now();
  if (crew_.size() > 0) {
    std::vector<base::Duration> used = {os::thread_cpu_time()};
    crew_.append_cpu_times(used);
    const LoadPolicy::Verdict verdict = load_.handle_tick(now, used);
    if (verdict == LoadPolicy::Verdict::Shrink) shrink();
    if (verdict == LoadPolicy::Verdict::Grow) grow_under_load(now);
    worker_.drain();  // deadlines and handshakes that another worker may have left
  }
  if (now - counters_logged_ >= kCountersEvery) {
    counters_logged_ = now;
    log_line(base::LogLevel::Debug, counters());
    report();
  }
  handle_clocks();    // should the kernel not have told
  report_features();  // a worker may have joined or left
  load_ticking_ = busy_ || crew_.at_work() > 0;
  if (load_ticking_) loop_->at(now + kLoadTick, [this] { handle_load_tick(); });
}

void Engine::grow_under_load(base::Instant now) {
  if (now < grow_again_) return;
  const auto grown = grow(kGrowAnswer);
  if (grown) return;
  grow_again_ = now + kGrowPause;
  log_line(base::LogLevel::Debug, grown.error().message);
}

base::Status Engine::grow(base::Duration patience) {
  if (!crew_.has_parked() || !worker_.udp().is_open()) return {};
  const std::uint16_t port = worker_.udp().port();
  const ipc::OpenWorker question{.port = port, .mark = mark_};
  WARREN_TRY_ASSIGN(auto answer, opener_.ask(question, patience));
  handle_notices();  // what arrived meanwhile
  const auto* reply = std::get_if<ipc::OpenWorkerReply>(&answer.body);
  if (reply == nullptr) return base::os_error("ask for a worker's descriptors", EPROTO);
  if (reply->error != 0) return base::os_error("open a worker's descriptors", reply->error);
  const std::size_t expected = 1U + (reply->has_v4 ? 1U : 0U) + (reply->has_v6 ? 1U : 0U);
  if (answer.descriptors.size() != expected) {
    return base::os_error("ask for a worker's descriptors", EPROTO);
  }
  auto next = answer.descriptors.begin();
  Crew::Kit kit{.tun = std::move(*next++), .offloads = worker_.offloads(), .port = port};
  if (reply->has_v4) kit.v4 = std::move(*next++);
  if (reply->has_v6) kit.v6 = std::move(*next++);
  WARREN_TRY(crew_.dispatch(std::move(kit)));
  log_line(base::LogLevel::Debug, "a worker joins, now " + std::to_string(1 + crew_.at_work()));
  return {};
}

void Engine::grow_to_least() {
  while (1 + crew_.at_work() < min_workers_ && crew_.has_parked()) {
    const auto grown = grow(kOpenerAnswer);
    if (grown) continue;
    log_line(base::LogLevel::Warning, grown.error().message);
    return;
  }
}

void Engine::shrink() {
  if (1 + crew_.at_work() <= min_workers_) return;
  crew_.recall();
  worker_.drain();
  log_line(base::LogLevel::Debug, "a worker leaves, now " + std::to_string(1 + crew_.at_work()));
}

void Engine::handle_idle() {
  busy_ = false;
  handle_clocks();
  report();
  shared_.trim();
  os::release_memory();
}

base::Status Engine::watch_opener() {
  return loop_->watch(opener_.descriptor(), [this](os::Ready) { handle_opener(); });
}

void Engine::handle_opener() {
  const int descriptor = opener_.descriptor();
  const bool alive = opener_.handle_readable();
  handle_notices();
  if (alive) return;
  loop_->forget(descriptor);
  handle_opener_gone();
}

void Engine::handle_opener_gone() {
  if (exit_with_opener_) {
    log_line(base::LogLevel::Info, "the opener has ended, ending too");
    loop_->stop();
  } else {
    log_line(base::LogLevel::Warning, "the opener has ended, traffic goes on without it");
  }
}

void Engine::handle_notices() {
  while (const auto notice = opener_.poll_notice()) {
    if (const auto* link = std::get_if<ipc::LinkChanged>(&*notice)) {
      const bool came_up = link->up && !link_up_;
      link_up_ = link->up;
      shared_.lock()->set_mtu(link->mtu);
      if (came_up) handle_network_change();
    } else if (std::holds_alternative<ipc::NetworkChanged>(*notice)) {
      handle_network_change();
    } else if (std::holds_alternative<ipc::Shutdown>(*notice)) {
      loop_->stop();
    }
  }
  worker_.drain();
}

void Engine::handle_network_change() {
  network_change_pending_ = network_change_paced_;
  if (network_change_paced_) return;
  network_change_paced_ = true;
  loop_->at(os::now() + kNetworkChangePace, [this] {
    network_change_paced_ = false;
    if (!network_change_pending_) return;
    handle_network_change();
    worker_.drain();
  });
  shared_.lock()->handle_network_change(os::now());
}

void Engine::handle_adoption() {
  auto connection = os::unix_accept(extension_);
  if (!connection) return;
  if (opener_.is_open()) handle_opener();  // it may have ended just now
  if (opener_.is_open() || exit_with_opener_) return;
  opener_ = OpenerChannel(std::move(*connection));
  grow_again_ = {};  // it may have what the former one had not
  const UdpPort& udp = worker_.udp();
  const os::Fd* hints = nullptr;
  {
    auto node = shared_.lock();
    if (node.hints().is_kept()) hints = &node.hints().memfd();
  }
  const ipc::Adopted adopted{.interface_name = name_,
                             .port = udp.port(),
                             .mark = mark_,
                             .hints = hints != nullptr,
                             .has_v4 = static_cast<bool>(udp.v4()),
                             .has_v6 = static_cast<bool>(udp.v6()),
                             .tun_offloads = worker_.offloads().to_byte()};
  std::vector<const os::Fd*> descriptors = {&worker_.tun(), &api_->listener(), &extension_};
  if (adopted.hints) descriptors.push_back(hints);
  if (adopted.has_v4) descriptors.push_back(&udp.v4());
  if (adopted.has_v6) descriptors.push_back(&udp.v6());
  if (!opener_.notify(adopted, descriptors) || !watch_opener()) {
    opener_.close();
    return;
  }
  log_line(base::LogLevel::Info, "adopted by a new opener");
  reported_ = {};
  report();
}

}  // namespace warren::engine
