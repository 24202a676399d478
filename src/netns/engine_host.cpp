#include "netns/engine_host.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "crypto/secret.hpp"
#include "ipc/hints.hpp"
#include "netns/limits.hpp"
#include "netns/own_program.hpp"
#include "os/clock.hpp"
#include "os/stream.hpp"
#include "os/tun.hpp"
#include "os/unix_socket.hpp"

// Theory of operation
//
// An engine is started before the tun exists, so that its own start and the making of the
// namespaces overlap; its Hello waits until init has passed the tun out. After the answer the
// configuration goes to its API socket as text, without blocking, because accepting it makes the
// engine ask for UDP sockets, which we answer meanwhile.
//
// The supervisor keeps tun, UDP sockets and the API listener open. An engine that ends is replaced
// by one with the same descriptors and the same configuration: it begins new sessions, on the old
// port. The hints (a memfd without secrets) tell it where peers were. Too many ends within the
// window, or an end before the first configuration was accepted, end the run.

namespace warren::netns {

namespace {

constexpr std::size_t kSpareHints = 16;
constexpr mode_t kSocketMode = 0600;

/// Where no peer can be reached for want of an address family, that is told, not left to a timeout.
base::Status check_families(const UdpPair& udp, const std::vector<ipc::UapiPeer>& peers) {
  const base::Endpoint* lost = nullptr;
  for (const ipc::UapiPeer& peer : peers) {
    if (!peer.endpoint) continue;
    if (peer.endpoint->address.is_v6() ? udp.v6 : udp.v4) return {};
    lost = &*peer.endpoint;
  }
  if (lost == nullptr) return {};
  const std::string family = lost->address.is_v6() ? "IPv6" : "IPv4";
  return base::make_error(base::ErrorKind::Unavailable,
                          "the endpoint " + lost->to_string() + " needs " + family +
                              ", but this kernel has " + family + " off",
                          "name the server by an address of the other family" +
                              std::string(lost->address.is_v6() ? ", or boot without "
                                                                  "ipv6.disable=1"
                                                                : ""));
}

void wipe(std::string& text) {
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  text.clear();
}

}  // namespace

base::Result<std::string> engine_program() {
  return own_program("WARREN_ENGINE", "warren-engine",
                     "warren-engine must be beside warren, or be named by WARREN_ENGINE");
}

EngineHost::EngineHost(os::Loop& loop, const RunConfig& config, std::string api_path,
                       Configured configured, Failed failed)
    : loop_(loop),
      config_(config),
      api_path_(std::move(api_path)),
      configured_(std::move(configured)),
      failed_(std::move(failed)) {}

EngineHost::~EngineHost() {
  stop();
  wipe(api_request_);
}

base::Status EngineHost::prepare_hints() {
  const std::size_t size = ipc::HintsTable::size_for(config_.engine.peers.size() + kSpareHints);
  WARREN_TRY_ASSIGN(hints_, os::memory_file("warren-hints", size));
  WARREN_TRY_ASSIGN(const os::Mapping mapping, os::Mapping::create(hints_));
  ipc::HintsTable::format(mapping.bytes());
  return {};
}

base::Status EngineHost::start() {
  WARREN_TRY_ASSIGN(udp_, UdpPair::open(config_.engine.listen_port.value_or(0),
                                        config_.engine.fwmark.value_or(0)));
  WARREN_TRY(check_families(udp_, config_.engine.peers));
  WARREN_TRY_ASSIGN(api_listener_, os::unix_listen(os::UnixType::Stream, api_path_, kSocketMode));
  WARREN_TRY(prepare_hints());
  return spawn();
}

base::Status EngineHost::spawn() {
  WARREN_TRY_ASSIGN(auto pair, os::unix_pair(os::UnixType::SeqPacket));
  os::SpawnOptions options;
  options.argv = {config_.engine_program, "--opener-fd", std::to_string(ipc::kOpenerFd)};
  options.descriptors = {{ipc::kOpenerFd, &pair.second}};
  options.new_session = true;  // a terminal's signals are not for it
  options.die_with_parent = true;
  WARREN_TRY_ASSIGN(engine_, os::spawn(options));
  opener_ = std::move(pair.first);
  WARREN_TRY(opener_.set_nonblocking());
  WARREN_TRY(loop_.watch(opener_.get(), [this](os::Ready) { handle_opener(); }));
  WARREN_TRY(loop_.watch(engine_->pidfd.get(), [this](os::Ready) { handle_end(); }));
  start_timer_ = loop_.at(os::now() + kEngineStart, [this] {
    start_timer_ = 0;
    give_up(base::make_error(base::ErrorKind::Failed, "the engine does not answer"));
  });
  return {};
}

void EngineHost::drop_engine() {
  loop_.cancel(std::exchange(start_timer_, 0));
  if (api_) loop_.forget(api_.get());
  if (opener_) loop_.forget(opener_.get());
  if (engine_) loop_.forget(engine_->pidfd.get());
  api_.reset();
  opener_.reset();
  engine_.reset();
  waiting_hello_.reset();
  wipe(api_request_);
}

void EngineHost::give_up(base::Error error) {
  if (auto failed = std::exchange(failed_, nullptr)) failed(std::move(error));
}

void EngineHost::stop() {
  configured_ = nullptr;
  failed_ = nullptr;
  if (engine_) {
    loop_.forget(engine_->pidfd.get());
    static_cast<void>(reply(0, ipc::Shutdown{}));
    const auto ended = os::wait_readable(engine_->pidfd, kEngineFarewell);
    if (!ended || !*ended) static_cast<void>(os::send_signal(engine_->pidfd, SIGKILL));
    static_cast<void>(os::wait_for(*engine_));
  }
  drop_engine();
}

// --- descriptors ---

void EngineHost::handle_tun(os::Fd tun) {
  tun_ = std::move(tun);
  if (!waiting_hello_) return;
  if (base::Status greeted = greet(); !greeted) give_up(std::move(greeted).error());
}

void EngineHost::handle_opener() {
  auto message = os::receive_message(opener_, ipc::kMaxOpenerMessage);
  if (!message && message.error().os_errno == EAGAIN) return;
  if (!message || message->closed) {
    loop_.forget(opener_.get());  // its pidfd says the rest
    return;
  }
  auto question = ipc::parse_opener(message->bytes);
  base::Status answered = question ? answer(*question) : base::Status(question.error());
  if (answered || answered.error().os_errno == EPIPE) return;
  give_up(std::move(answered).error().within("answer the engine"));
}

base::Status EngineHost::answer(const ipc::OpenerMessage& question) {
  if (const auto* hello = std::get_if<ipc::Hello>(&question.body)) {
    if (hello->version != ipc::kOpenerVersion) {
      return base::make_error(base::ErrorKind::Invalid, "the engine speaks another version",
                              config_.engine_program + " must be of the same release");
    }
    waiting_hello_ = question.sequence;
    return tun_ ? greet() : base::Status{};
  }
  if (const auto* wanted = std::get_if<ipc::OpenUdp>(&question.body)) {
    return open_udp(question.sequence, *wanted);
  }
  if (std::holds_alternative<ipc::OpenWorker>(question.body)) {
    return reply(question.sequence, ipc::OpenWorkerReply{.error = EINVAL});
  }
  if (const auto* wanted = std::get_if<ipc::SetMark>(&question.body)) {
    const base::Status set = udp_.set_mark(wanted->mark);
    return reply(question.sequence, ipc::Done{.error = set ? 0 : set.error().os_errno});
  }
  if (std::holds_alternative<ipc::Report>(question.body)) return {};
  return base::make_error(base::ErrorKind::Internal, "it sent a message of the opener's");
}

base::Status EngineHost::greet() {
  ipc::HelloReply hello;
  hello.interface_name = config_.interface_name;
  hello.mtu = static_cast<std::uint16_t>(config_.mtu);
  hello.hints = true;
  // The device was given its offloads where it was made; asked again, it tells them. One worker: a
  // run's tun has one queue.
  WARREN_TRY_ASSIGN(const os::TunOffloads offloads, os::set_tun_offloads(tun_));
  hello.tun_offloads = offloads.to_byte();
  const std::uint32_t sequence = *std::exchange(waiting_hello_, std::nullopt);
  WARREN_TRY(reply(sequence, hello, {&tun_, &api_listener_, &hints_}));
  return configure();
}

base::Status EngineHost::open_udp(std::uint32_t sequence, const ipc::OpenUdp& wanted) {
  ipc::OpenUdpReply answer;
  const bool kept = wanted.port == udp_.port || wanted.port == 0;
  if (kept) {
    if (const base::Status set = udp_.set_mark(wanted.mark); !set) {
      answer.error = set.error().os_errno;
    }
  } else if (auto opened = UdpPair::open(wanted.port, wanted.mark)) {
    udp_ = std::move(*opened);
  } else {
    answer.error = opened.error().os_errno != 0 ? opened.error().os_errno : EIO;
  }
  std::vector<const os::Fd*> descriptors;
  if (answer.error == 0) {
    answer.port = udp_.port;
    answer.has_v4 = static_cast<bool>(udp_.v4);
    answer.has_v6 = static_cast<bool>(udp_.v6);
    if (answer.has_v4) descriptors.push_back(&udp_.v4);
    if (answer.has_v6) descriptors.push_back(&udp_.v6);
  }
  return reply(sequence, answer, descriptors);
}

base::Status EngineHost::reply(std::uint32_t sequence, const ipc::OpenerBody& body,
                               const std::vector<const os::Fd*>& descriptors) {
  return os::send_message(opener_, ipc::write_opener({sequence, body}), descriptors);
}

// --- configuration ---

base::Status EngineHost::configure() {
  next_request_.clear();  // it is in the configuration
  return ask_api(ipc::write_uapi_set(config_.engine));
}

void EngineHost::update(const std::vector<ipc::UapiPeer>& peers) {
  if (!ever_configured_ || !engine_ || waiting_hello_) return;  // it will be configured with them
  ipc::UapiSet set;
  for (const ipc::UapiPeer& peer : peers) {
    ipc::UapiPeer& changed = set.peers.emplace_back();
    changed.public_key = peer.public_key;
    changed.update_only = true;
    changed.endpoint = peer.endpoint;
    changed.replace_allowed_ips = !peer.allowed_ips.empty();
    changed.allowed_ips = peer.allowed_ips;
  }
  std::string request = ipc::write_uapi_set(set);
  if (api_) {
    next_request_ = std::move(request);
    return;
  }
  std::ignore = ask_api(std::move(request));  // an engine that cannot be asked is about to end
}

void EngineHost::notify(const ipc::OpenerBody& notice) {
  if (!ever_configured_ || !opener_ || waiting_hello_) return;
  std::ignore = reply(0, notice);  // an engine that is gone shows itself by its end
}

base::Status EngineHost::ask_api(std::string request) {
  WARREN_TRY_ASSIGN(api_, os::unix_connect(os::UnixType::Stream, api_path_));
  WARREN_TRY(api_.set_nonblocking());
  api_request_ = std::move(request);
  api_sent_ = 0;
  api_answer_.clear();
  return loop_.watch(api_.get(), [this](os::Ready ready) { handle_api(ready); }, true);
}

void EngineHost::handle_api(os::Ready ready) {
  if (ready.writable && api_sent_ < api_request_.size()) {
    const auto rest = base::as_bytes(api_request_).subspan(api_sent_);
    const auto sent = os::write_some(api_, rest);
    if (!sent) return finish_api(sent.error());
    api_sent_ += *sent;
    if (api_sent_ == api_request_.size()) {
      wipe(api_request_);
      api_sent_ = 0;
      static_cast<void>(loop_.set_want_write(api_.get(), false));
    }
  }
  if (!ready.readable && !ready.hangup) return;
  std::array<std::uint8_t, 256> room;
  const auto got = os::read_some(api_, room);
  if (!got) return finish_api(got.error());
  if (!*got) return finish_api(base::os_error("configure the engine", ECONNRESET));
  api_answer_.append(reinterpret_cast<const char*>(room.data()), **got);
  if (api_answer_.ends_with("\n\n")) finish_api(ipc::parse_uapi_result(api_answer_));
}

void EngineHost::finish_api(base::Status result) {
  loop_.forget(api_.get());
  api_.reset();
  wipe(api_request_);
  if (!result) {
    // An engine that died while it was configured is handled by its end.
    const int why = result.error().os_errno;
    if (why == ECONNRESET || why == EPIPE) return;
    return give_up(std::move(result).error().within("configure the engine"));
  }
  loop_.cancel(std::exchange(start_timer_, 0));
  if (!next_request_.empty()) std::ignore = ask_api(std::exchange(next_request_, {}));
  if (std::exchange(ever_configured_, true)) return;
  if (auto configured = std::exchange(configured_, nullptr)) configured();
}

// --- its end ---

void EngineHost::handle_end() {
  const int code = os::try_wait(*engine_).value_or(-1);
  drop_engine();
  const std::size_t lately = ends_.add(os::now());
  const std::string text = "the engine ended (exit code " + std::to_string(code) + ")";
  if (!ever_configured_) {
    return give_up(base::make_error(
        base::ErrorKind::Failed, text + " before it was configured",
        "its own message is above; " + config_.engine_program + " must be of the same version"));
  }
  if (lately >= kMaxEngineEnds) {
    return give_up(base::make_error(
        base::ErrorKind::Failed, text + " " + std::to_string(lately) + " times in a few seconds"));
  }
  loop_.at(os::now() + ends_.pause(), [this] {
    if (!failed_) return;  // stopped meanwhile
    if (base::Status again = spawn(); !again) give_up(std::move(again).error());
  });
}

}  // namespace warren::netns
