// Theory of operation
//
// A datagram from inside that is a question gets a socket of its own outside, connected to the
// resolver: a port that nobody can guess, which takes answers from the resolver alone. The answer
// goes back as it came when its id is the question's. Ids are not changed: who asks is a dnsmasq,
// which chooses them at random. Where no answer comes, or too much is in flight, the question is
// answered with a server failure, so that whoever asked can ask the next one.
//
// Connections are copied both ways until both ends are done, or nothing was said for a while.
//
// Whoever sends must be on the loopback, too. So this is open to what runs in the namespace (the
// name server, `network exec`), and to nobody else.
//
// What is in flight belongs to the relay: it ends with it. Handlers hold it, for Asio calls back
// what was cancelled; whoever is `done` does nothing any more.
#include "gateway/resolver_relay.hpp"

#include <array>
#include <set>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "gateway/limits.hpp"
#include "os/netns.hpp"

namespace warren::gateway {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;

namespace {

// RFC 1035, 4.1.1.
constexpr std::size_t kHeader = 12;
constexpr std::uint8_t kIsAnswer = 0x80;            // of the third byte
constexpr std::uint8_t kRecursionAvailable = 0x80;  // of the fourth
constexpr std::uint8_t kCodeMask = 0x0f;
constexpr std::uint8_t kServerFailure = 2;

asio::ip::address to_asio(const base::IpAddress& address) {
  error_code none;  // our own text of an address is one
  return asio::ip::make_address(address.to_string(), none);
}

bool is_message(base::Bytes bytes, bool answer) {
  return bytes.size() >= kHeader && bytes.size() <= kRelayDatagram &&
         ((bytes[2] & kIsAnswer) != 0) == answer;
}

struct Question {
  explicit Question(asio::io_context& io) : outside(io), timer(io) {}
  udp::socket outside;
  asio::steady_timer timer;
  udp::endpoint sender;
  std::vector<std::uint8_t> bytes;
  std::array<std::uint8_t, kRelayDatagram + 1> answer{};
  bool done = false;
};

struct Direction {
  tcp::socket* from = nullptr;
  tcp::socket* to = nullptr;
  std::array<std::uint8_t, kRelayDatagram> buffer{};
};

struct Connection {
  explicit Connection(asio::io_context& io) : inside(io), outside(io), timer(io) {
    there = {.from = &inside, .to = &outside};
    back = {.from = &outside, .to = &inside};
  }
  tcp::socket inside;
  tcp::socket outside;
  asio::steady_timer timer;
  Direction there;
  Direction back;
  unsigned ended = 0;  ///< directions
  bool done = false;
};

}  // namespace

struct ResolverRelay::State : std::enable_shared_from_this<ResolverRelay::State> {
  State(asio::io_context& context, const base::Endpoint& resolver,
        std::shared_ptr<RelayLoad> of_all)
      : io(context),
        to(to_asio(resolver.address)),
        port(resolver.port),
        load(std::move(of_all)),
        datagrams(io),
        streams(io),
        datagram_pause(io),
        stream_pause(io) {}

  void listen(const base::Endpoint& at, error_code& error);
  void close();

  void receive();
  void handle_datagram(std::size_t size);
  void ask(Question& question, error_code& error) const;
  void receive_answer(const std::shared_ptr<Question>& question);
  void finish(const std::shared_ptr<Question>& question);
  /// Answers for a resolver that does not.
  void fail(const udp::endpoint& whom, std::vector<std::uint8_t> question);

  void accept();
  void handle_client(tcp::socket client);
  void copy(const std::shared_ptr<Connection>& connection, Direction& direction);
  void handle_end(const std::shared_ptr<Connection>& connection, Direction& direction);
  void touch(const std::shared_ptr<Connection>& connection);
  void finish(const std::shared_ptr<Connection>& connection);

  /// After a failure that may last: no descriptors, no memory.
  void try_again(asio::steady_timer& pause, void (State::*what)());

  asio::io_context& io;
  asio::ip::address to;
  std::uint16_t port;
  std::shared_ptr<RelayLoad> load;
  udp::socket datagrams;
  tcp::acceptor streams;
  asio::steady_timer datagram_pause;
  asio::steady_timer stream_pause;
  udp::endpoint sender;
  std::array<std::uint8_t, kRelayDatagram + 1> datagram{};
  std::set<std::shared_ptr<Question>> questions;
  std::set<std::shared_ptr<Connection>> connections;
  bool closed = false;
};

void ResolverRelay::State::listen(const base::Endpoint& at, error_code& error) {
  const asio::ip::address address = to_asio(at.address);
  const udp::endpoint for_datagrams(address, at.port);
  const tcp::endpoint for_streams(address, at.port);
  static_cast<void>(datagrams.open(for_datagrams.protocol(), error));
  if (!error) static_cast<void>(datagrams.bind(for_datagrams, error));
  if (!error) static_cast<void>(datagrams.non_blocking(true, error));
  if (!error) static_cast<void>(streams.open(for_streams.protocol(), error));
  // Connections of a former daemon may linger.
  if (!error) static_cast<void>(streams.set_option(tcp::acceptor::reuse_address(true), error));
  if (!error) static_cast<void>(streams.bind(for_streams, error));
  if (!error) static_cast<void>(streams.listen(kRelayConnections, error));
}

void ResolverRelay::State::close() {
  closed = true;
  error_code ignored;
  static_cast<void>(datagrams.close(ignored));
  static_cast<void>(streams.close(ignored));
  datagram_pause.cancel();
  stream_pause.cancel();
  for (const auto& question : std::exchange(questions, {})) finish(question);
  for (const auto& connection : std::exchange(connections, {})) finish(connection);
}

void ResolverRelay::State::try_again(asio::steady_timer& pause, void (State::*what)()) {
  pause.expires_after(kRelayPause);
  pause.async_wait([self = shared_from_this(), what](const error_code& error) {
    if (!error && !self->closed) ((*self).*what)();
  });
}

// --- questions ---

void ResolverRelay::State::receive() {
  datagrams.async_receive_from(
      asio::buffer(datagram), sender,
      [self = shared_from_this()](const error_code& error, std::size_t size) {
        if (self->closed) return;
        if (error) return self->try_again(self->datagram_pause, &State::receive);
        self->handle_datagram(size);
        self->receive();
      });
}

void ResolverRelay::State::handle_datagram(std::size_t size) {
  const base::Bytes bytes = base::Bytes(datagram).first(size);
  if (!is_message(bytes, false) || !sender.address().is_loopback()) return;
  std::vector<std::uint8_t> copied(bytes.begin(), bytes.end());
  if (questions.size() >= kRelayQuestions || load->questions >= kRelayQuestionsOfAll) {
    return fail(sender, std::move(copied));
  }
  const auto question = std::make_shared<Question>(io);
  question->sender = sender;
  question->bytes = std::move(copied);
  error_code error;
  ask(*question, error);
  if (error) return fail(sender, std::move(question->bytes));
  questions.insert(question);
  ++load->questions;
  question->timer.expires_after(kRelayPatience);
  question->timer.async_wait([self = shared_from_this(), question](const error_code& stopped) {
    if (stopped || question->done) return;
    self->fail(question->sender, std::move(question->bytes));
    self->finish(question);
  });
  receive_answer(question);
}

void ResolverRelay::State::ask(Question& question, error_code& error) const {
  const udp::endpoint resolver(to, port);
  static_cast<void>(question.outside.open(resolver.protocol(), error));
  if (!error) static_cast<void>(question.outside.non_blocking(true, error));
  if (!error) static_cast<void>(question.outside.connect(resolver, error));
  if (!error) static_cast<void>(question.outside.send(asio::buffer(question.bytes), 0, error));
}

void ResolverRelay::State::receive_answer(const std::shared_ptr<Question>& question) {
  question->outside.async_receive(
      asio::buffer(question->answer),
      [self = shared_from_this(), question](const error_code& error, std::size_t size) {
        if (question->done) return;
        if (error) {  // nobody listens there
          self->fail(question->sender, std::move(question->bytes));
          return self->finish(question);
        }
        const base::Bytes answer = base::Bytes(question->answer).first(size);
        const bool fits = is_message(answer, true) && answer[0] == question->bytes[0] &&
                          answer[1] == question->bytes[1];
        if (!fits) return self->receive_answer(question);
        error_code ignored;  // it is asked again
        static_cast<void>(self->datagrams.send_to(asio::buffer(question->answer, size),
                                                  question->sender, 0, ignored));
        self->finish(question);
      });
}

void ResolverRelay::State::finish(const std::shared_ptr<Question>& question) {
  if (std::exchange(question->done, true)) return;
  question->timer.cancel();
  error_code ignored;
  static_cast<void>(question->outside.close(ignored));
  questions.erase(question);
  --load->questions;
}

void ResolverRelay::State::fail(const udp::endpoint& whom, std::vector<std::uint8_t> question) {
  question[2] |= kIsAnswer;
  question[3] =
      static_cast<std::uint8_t>((question[3] & ~kCodeMask) | kRecursionAvailable | kServerFailure);
  error_code ignored;
  static_cast<void>(datagrams.send_to(asio::buffer(question), whom, 0, ignored));
}

// --- connections ---

void ResolverRelay::State::accept() {
  streams.async_accept([self = shared_from_this()](const error_code& error, tcp::socket client) {
    if (self->closed) return;
    if (error) return self->try_again(self->stream_pause, &State::accept);
    self->handle_client(std::move(client));
    self->accept();
  });
}

void ResolverRelay::State::handle_client(tcp::socket client) {
  error_code error;
  const tcp::endpoint from = client.remote_endpoint(error);
  if (error || !from.address().is_loopback() ||
      connections.size() >= std::size_t{kRelayConnections} ||
      load->connections >= kRelayConnectionsOfAll) {
    return;  // it is closed
  }
  const auto connection = std::make_shared<Connection>(io);
  connection->inside = std::move(client);
  connections.insert(connection);
  ++load->connections;
  touch(connection);
  connection->outside.async_connect(
      tcp::endpoint(to, port), [self = shared_from_this(), connection](const error_code& failed) {
        if (connection->done) return;
        if (failed) return self->finish(connection);
        self->copy(connection, connection->there);
        self->copy(connection, connection->back);
      });
}

void ResolverRelay::State::copy(const std::shared_ptr<Connection>& connection,
                                Direction& direction) {
  direction.from->async_read_some(
      asio::buffer(direction.buffer), [self = shared_from_this(), connection, &direction](
                                          const error_code& error, std::size_t size) {
        if (connection->done) return;
        if (error == asio::error::eof) return self->handle_end(connection, direction);
        if (error) return self->finish(connection);
        self->touch(connection);
        asio::async_write(*direction.to, asio::buffer(direction.buffer, size),
                          [self, connection, &direction](const error_code& failed, std::size_t) {
                            if (connection->done) return;
                            if (failed) return self->finish(connection);
                            self->copy(connection, direction);
                          });
      });
}

void ResolverRelay::State::handle_end(const std::shared_ptr<Connection>& connection,
                                      Direction& direction) {
  error_code ignored;
  static_cast<void>(direction.to->shutdown(tcp::socket::shutdown_send, ignored));
  if (++connection->ended == 2) finish(connection);
}

void ResolverRelay::State::touch(const std::shared_ptr<Connection>& connection) {
  connection->timer.expires_after(kRelayIdle);
  connection->timer.async_wait([self = shared_from_this(), connection](const error_code& stopped) {
    if (!stopped && !connection->done) self->finish(connection);
  });
}

void ResolverRelay::State::finish(const std::shared_ptr<Connection>& connection) {
  if (std::exchange(connection->done, true)) return;
  connection->timer.cancel();
  error_code ignored;
  static_cast<void>(connection->inside.close(ignored));
  static_cast<void>(connection->outside.close(ignored));
  connections.erase(connection);
  --load->connections;
}

// --- what others see ---

ResolverRelay::ResolverRelay(std::shared_ptr<State> state) : state_(std::move(state)) {}
ResolverRelay::~ResolverRelay() { state_->close(); }

base::Result<std::unique_ptr<ResolverRelay>> ResolverRelay::open(asio::io_context& io,
                                                                 const os::Fd& netns,
                                                                 const base::Endpoint& listen,
                                                                 const base::Endpoint& resolver,
                                                                 std::shared_ptr<RelayLoad> load) {
  const auto state = std::make_shared<State>(io, resolver, std::move(load));
  WARREN_TRY(os::in_netns(netns, [&]() -> base::Status {
    error_code error;
    state->listen(listen, error);
    if (!error) return {};
    return base::os_error("listen on " + listen.to_string() + " inside for " + resolver.to_string(),
                          error.value());
  }));
  state->receive();
  state->accept();
  return std::unique_ptr<ResolverRelay>(new ResolverRelay(state));
}

}  // namespace warren::gateway
