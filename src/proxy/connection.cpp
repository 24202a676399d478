#include "proxy/connection.hpp"

#include <sys/socket.h>

#include <algorithm>

#include "crypto/secret.hpp"
#include "os/clock.hpp"
#include "os/stream.hpp"
#include "proxy/limits.hpp"
#include "proxy/socks.hpp"

// Theory of operation
//
//   Hello ─┬─ 5 ─▶ SocksLogin ─▶ SocksRequest ─┬─▶ Resolving ─▶ Connecting ─▶ Relaying ─▶ Over
//          └─ letter ─▶ HttpRequest ───────────┤       └────────────┴──▶ Farewell ─────────▲
//                                              └─▶ Associated ─────────────────────────────┘
//
// Back-pressure. Upwards nothing is read from the client that the stack has no room for (but one
// chunk). Downwards the stack's receive window is opened by what the client has taken: at most one
// window waits in down_. So a connection holds two windows at most, whoever is slow.
//
// Half-close. The end of either side is passed on when what was before it is; the connection ends
// when both have ended. A reset of one side resets the other, so that a client can tell a broken
// answer from a whole one.
//
// An HTTP request that is no CONNECT is passed on once, with "Connection: close" and at most the
// body that it announced: what follows on this connection may be meant for another server.
//
// Handlers of the stack run inside of lwIP: they may write, but what would destroy the pipe is put
// aside for proceed().

namespace warren::proxy {

namespace {

std::string_view text_of(base::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What SOCKS is told where the address does not matter.
const base::Endpoint kNowhere{};

}  // namespace

Connection::Connection(os::Fd client, Services& services)
    : client_(std::move(client)),
      services_(services),
      deadline_(os::now() + kRequestTime),
      last_activity_(os::now()),
      last_ack_(os::now()) {}

Connection::~Connection() {
  if (lookup_) services_.resolver.cancel(*lookup_);
  if (watched_) services_.loop.forget(client_.get());
}

base::Status Connection::start() {
  WARREN_TRY(
      services_.loop.watch(client_.get(), [this](os::Ready ready) { handle_client(ready); }));
  watched_ = true;
  return {};
}

void Connection::end(bool reset) {
  if (state_ == State::Over) return;
  if (reset) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    std::ignore = setsockopt(client_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  state_ = State::Over;
  services_.attention(*this);
}

void Connection::watch_reading(bool wanted) {
  if (std::exchange(reading_, wanted) == wanted || !watched_) return;
  std::ignore = services_.loop.set_want_read(client_.get(), wanted);
}

// --- the client ---

void Connection::handle_client(os::Ready ready) {
  if (ready.writable) pump_down();
  switch (state_) {
    case State::Hello:
    case State::SocksLogin:
    case State::SocksRequest:
    case State::HttpRequest:
      return read_request();
    case State::Relaying:
      if (reading_ && (ready.readable || ready.hangup)) return pump_up();
      break;
    case State::Farewell:
    case State::Associated:
      return drain_farewell();
    case State::Resolving:
    case State::Connecting:
    case State::Over:
      break;
  }
  if (ready.hangup && !reading_) handle_hangup();
}

/// Both directions of the client are closed, or it was reset, while it is not read from.
void Connection::handle_hangup() {
  if (state_ == State::Over) return;
  if (!down_finished_) return end(true);
  // It has sent its last bytes and waits for nothing: they still go up, as there is room.
  services_.loop.forget(client_.get());
  watched_ = false;
}

void Connection::read_request() {
  const base::MutableBytes room = base::MutableBytes(services_.room).first(kReadChunk);
  const auto got = os::read_some(client_, room);
  if (!got || !*got) return end(false);
  in_.insert(in_.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(**got));
  parse();
}

void Connection::take_input(std::size_t count) {
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(count));
}

void Connection::parse() {
  while (parse_one()) {
  }
}

/// False: more must be read, or the request is known.
bool Connection::parse_one() {
  switch (state_) {
    case State::Hello:
      if (in_.empty()) return false;
      socks_ = in_[0] == socks::kVersion;
      if (socks_) return parse_socks_hello();
      if (in_[0] == socks::kVersion4) {
        end(false);  // it has no password and could not be told why
        return false;
      }
      state_ = State::HttpRequest;
      return true;
    case State::SocksLogin:
      return parse_socks_login();
    case State::SocksRequest:
      return parse_socks_request();
    case State::HttpRequest:
      return parse_http();
    default:
      return false;
  }
}

bool Connection::parse_socks_hello() {
  const socks::Greeting greeting = socks::parse_greeting(in_);
  if (greeting.input == socks::Input::Partial) return false;
  if (greeting.input == socks::Input::Malformed || !greeting.offers_password) {
    const std::uint8_t refusal[] = {socks::kVersion, socks::kNoMethod};
    say_farewell(refusal);
    return false;
  }
  take_input(greeting.used);
  const std::uint8_t choice[] = {socks::kVersion, socks::kPasswordMethod};
  state_ = State::SocksLogin;
  answer(choice);
  return true;
}

bool Connection::parse_socks_login() {
  socks::Login login = socks::parse_login(in_);
  if (login.input == socks::Input::Partial) return false;
  const bool good =
      login.input == socks::Input::Whole && services_.is_login(login.name, login.password);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(login.password.data()), login.password.size()});
  const std::uint8_t verdict[] = {1, static_cast<std::uint8_t>(good ? 0 : 1)};
  if (!good) {
    say_farewell(verdict);
    return false;
  }
  take_input(login.used);
  state_ = State::SocksRequest;
  answer(verdict);
  return true;
}

bool Connection::parse_socks_request() {
  const socks::Request request = socks::parse_request(in_);
  if (request.input == socks::Input::Partial) return false;
  if (request.input == socks::Input::Malformed) {
    say_farewell(socks::write_reply(request.reply, kNowhere));
    return false;
  }
  take_input(request.used);
  if (request.command == static_cast<std::uint8_t>(socks::Command::Associate)) {
    associate(request.target);
  } else if (request.command != static_cast<std::uint8_t>(socks::Command::Connect)) {
    refuse(Failure::NotSupported);
  } else {
    up_.append(in_);
    begin(request.target);
  }
  in_.clear();
  return false;
}

bool Connection::parse_http() {
  const http::Parsed parsed = http::parse_request(text_of(in_), kMaxHttpHead);
  if (parsed.state == http::Parsed::State::Partial) return false;
  if (parsed.state == http::Parsed::State::Refused) {
    refuse(parsed.failure);
    return false;
  }
  const http::Request& request = parsed.request;
  if (!services_.are_credentials(request.credentials)) {
    refuse(Failure::BadPassword);
    return false;
  }
  take_input(parsed.used);
  http_connect_ = request.connect;
  base::Bytes body = in_;
  if (!request.connect) {
    up_.append(base::as_bytes(request.head));
    if (request.body) {
      body =
          body.first(static_cast<std::size_t>(std::min<std::uint64_t>(body.size(), *request.body)));
      up_left_ = *request.body - body.size();
    }
  }
  up_.append(body);
  in_.clear();
  begin(request.target);
  return false;
}

// --- the target ---

void Connection::begin(const Target& target) {
  if (target.port == 0) return refuse(Failure::Malformed);
  watch_reading(false);
  port_ = target.port;
  if (target.address) {
    targets_ = {*target.address};
    return connect_next();
  }
  if (const auto refusal = services_.refusal_of(target.name)) return refuse(*refusal);
  state_ = State::Resolving;
  deadline_ = os::now() + std::chrono::minutes(2);  // the resolver ends long before
  lookup_ = services_.resolver.lookup(target.name,
                                      [this](Resolver::LookupId, const Resolver::Outcome& outcome) {
                                        lookup_.reset();
                                        targets_ = outcome.addresses;
                                        last_failure_ = outcome.failure;
                                        if (targets_.size() > kMaxTargets)
                                          targets_.resize(kMaxTargets);
                                        connect_next();
                                      });
}

void Connection::connect_next() {
  pipe_.reset();
  while (next_target_ < targets_.size()) {
    const base::IpAddress& address = targets_[next_target_++];
    if (const auto refusal = services_.refusal_of(address)) {
      last_failure_ = *refusal;
      continue;
    }
    auto pipe = TcpPipe::connect(services_.stack, {.address = address, .port = port_},
                                 {.connected = [this] { handle_connected(); },
                                  .received = [this](base::Bytes more) { handle_received(more); },
                                  .finished = [this] { handle_finished(); },
                                  .writable = [this] { handle_writable(); },
                                  .failed = [this](Failure why) { handle_failed(why); }});
    if (!pipe) {
      last_failure_ = Failure::TooMany;
      continue;
    }
    pipe_ = std::move(*pipe);
    state_ = State::Connecting;
    const bool last = next_target_ == targets_.size();
    deadline_ = os::now() + (last ? kConnectTime : kConnectOneTime);
    return;
  }
  refuse(last_failure_);
}

void Connection::handle_connected() {
  if (state_ != State::Connecting) return;
  state_ = State::Relaying;
  last_activity_ = last_ack_ = os::now();
  if (socks_) {
    answer(socks::write_reply(socks::Reply::Done, kNowhere));
  } else if (http_connect_) {
    answer(base::as_bytes(http::kEstablished));
  }
  if (up_left_ == 0) up_ended_ = true;
  if (!send_up()) return;
  if (!up_ended_) watch_reading(true);
}

void Connection::handle_failed(Failure failure) {
  if (state_ == State::Relaying) return end(true);
  last_failure_ = failure;
  try_next_ = true;
  services_.attention(*this);
}

void Connection::proceed() {
  if (state_ == State::Connecting && std::exchange(try_next_, false)) connect_next();
}

void Connection::associate(const Target& target) {
  auto made = Association::create(services_, target.port);
  if (!made) return refuse(Failure::TooMany);
  association_ = std::move(*made);
  state_ = State::Associated;
  answer(socks::write_reply(socks::Reply::Done, association_->relay()));
}

// --- answers of our own ---

void Connection::answer(base::Bytes bytes) {
  down_.append(bytes);
  own_down_ += bytes.size();
  pump_down();
}

void Connection::refuse(Failure failure) {
  if (socks_) return say_farewell(socks::write_reply(socks::reply_for(failure), kNowhere));
  const std::string text = http::write_failure(failure);
  say_farewell(base::as_bytes(text));
}

void Connection::say_farewell(base::Bytes bytes) {
  state_ = State::Farewell;
  deadline_ = os::now() + kFarewellTime;
  in_.clear();
  down_ended_ = true;
  watch_reading(true);
  answer(bytes);
}

/// Reads what is not wanted any more: a client that is cut off while it sends would lose the
/// answer. Of an association, whose end is the connection's, nothing is expected.
void Connection::drain_farewell() {
  if (state_ == State::Over) return;
  const base::MutableBytes room = base::MutableBytes(services_.room).first(kReadChunk);
  const auto got = os::read_some(client_, room);
  if (!got || !*got) end(false);
}

// --- upwards ---

/// Puts what waits into the pipe, and the end behind it. False: there is more than room.
bool Connection::send_up() {
  const bool was_waiting = pipe_->is_waiting_for_ack();
  while (!up_.empty()) {
    const std::size_t taken = pipe_->write(up_.front());
    if (taken == 0) break;
    up_.pop(taken);
  }
  pipe_->flush();
  if (!was_waiting) last_ack_ = os::now();
  if (!up_.empty()) {
    watch_reading(false);
    return false;
  }
  if (up_ended_ && !std::exchange(up_finished_, true)) {
    watch_reading(false);
    // A request that is passed on ends by its length: some servers take an end for a farewell.
    if (!up_left_) pipe_->finish();
    finish_if_done();
  }
  return true;
}

void Connection::pump_up() {
  if (state_ != State::Relaying || !send_up() || up_ended_) return;
  for (std::size_t total = 0; total < kReadPerTurn;) {
    std::size_t most = std::min(kReadChunk, pipe_->room());
    if (up_left_) most = static_cast<std::size_t>(std::min<std::uint64_t>(most, *up_left_));
    if (most == 0) return watch_reading(false);
    const base::MutableBytes room = base::MutableBytes(services_.room).first(most);
    const auto got = os::read_some(client_, room);
    if (!got) return end(true);
    if (*got && **got == 0) return;
    last_activity_ = os::now();
    if (!*got) {
      up_ended_ = true;
    } else {
      up_.append(room.first(**got));
      if (up_left_) *up_left_ -= **got;
      if (up_left_ == 0) up_ended_ = true;
      total += **got;
    }
    if (!send_up() || up_ended_) return;
  }
}

void Connection::handle_writable() {
  last_ack_ = last_activity_ = os::now();
  if (state_ != State::Relaying || !send_up() || up_ended_) return;
  if (watched_) return watch_reading(true);
  pump_up();
}

void Connection::handle_tunnel_writable() {
  if (pipe_) pipe_->flush();
}

// --- downwards ---

void Connection::handle_received(base::Bytes bytes) {
  last_activity_ = os::now();
  if (state_ != State::Relaying) return;
  std::size_t written = 0;
  if (down_.empty()) {
    const auto taken = os::write_some(client_, bytes);
    if (!taken) return end(true);
    written = *taken;
    pipe_->consumed(written);
  }
  if (written == bytes.size()) return;
  down_.append(bytes.subspan(written));
  if (watched_) std::ignore = services_.loop.set_want_write(client_.get(), true);
}

void Connection::handle_finished() {
  down_ended_ = true;
  pump_down();
}

void Connection::pump_down() {
  if (state_ == State::Over) return;
  while (!down_.empty()) {
    const auto taken = os::write_some(client_, down_.front());
    if (!taken) return end(true);
    if (*taken == 0) break;
    down_.pop(*taken);
    const std::size_t own = std::min(*taken, own_down_);
    own_down_ -= own;
    if (pipe_) pipe_->consumed(*taken - own);
    last_activity_ = os::now();
  }
  if (watched_) std::ignore = services_.loop.set_want_write(client_.get(), !down_.empty());
  if (!down_.empty() || !down_ended_ || std::exchange(down_finished_, true)) return;
  std::ignore = shutdown(client_.get(), SHUT_WR);
  finish_if_done();
}

void Connection::finish_if_done() {
  if (state_ != State::Relaying || !down_finished_) return;
  // A passed-on request is over with its answer.
  if (up_finished_ || up_left_) {
    pipe_->finish();
    end(false);
  }
}

// --- time ---

void Connection::handle_tick(base::Instant now) {
  switch (state_) {
    case State::Relaying:
      if (pipe_->is_waiting_for_ack() && now - last_ack_ > kStallTime) end(true);
      if (now - last_activity_ > kIdleTime) end(true);
      return;
    case State::Associated:
      if (now - association_->last_activity() > kIdleTime) end(false);
      return;
    case State::Over:
      return;
    case State::Connecting:
      if (now < deadline_) return;
      last_failure_ = Failure::TimedOut;
      return connect_next();
    case State::Resolving:
      if (now >= deadline_) refuse(Failure::NameTimeout);
      return;
    default:
      if (now >= deadline_) end(false);
  }
}

}  // namespace warren::proxy
