// Theory of operation
//
// Control calls are synchronous: whoever revokes a peer wants the answer, not a promise. So the
// daemon's thread waits for the engine here, in a small loop of its own beside Asio's, with three
// descriptors: the connection, the engine's opener channel and its pidfd. Asio's own watches of the
// last two stay registered; what this loop consumed shows there later as a wake-up for nothing.
#include "gateway/engine_exchange.hpp"

#include <array>
#include <optional>

#include "crypto/secret.hpp"
#include "gateway/limits.hpp"
#include "ipc/uapi.hpp"
#include "ipc/uapi_text.hpp"
#include "os/clock.hpp"
#include "os/loop.hpp"
#include "os/stream.hpp"
#include "os/unix_socket.hpp"

namespace warren::gateway {

using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::size_t kChunk = 16384;

/// The connection's half of an exchange.
class Conversation {
 public:
  Conversation(os::Fd connection, std::string_view request)
      : connection_(std::move(connection)), unsent_(base::as_bytes(request)) {}
  ~Conversation() {
    crypto::wipe(chunk_);
    ipc::wipe_text(answer_);
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  [[nodiscard]] int descriptor() const { return connection_.get(); }
  [[nodiscard]] bool unsent() const { return !unsent_.empty(); }
  [[nodiscard]] bool done() const { return answer_.ends_with("\n\n"); }
  [[nodiscard]] std::string take_answer() { return std::move(answer_); }

  base::Status handle_ready(os::Ready ready) {
    if (ready.writable && unsent()) {
      WARREN_TRY_ASSIGN(const std::size_t sent, os::write_some(connection_, unsent_));
      unsent_ = unsent_.subspan(sent);
    }
    while (ready.readable && !done()) {
      WARREN_TRY_ASSIGN(const std::optional<std::size_t> count, os::read_some(connection_, chunk_));
      if (!count)
        return make_error(ErrorKind::Unavailable, "the engine closed the connection early");
      if (*count == 0) break;
      if (answer_.size() + *count > kEngineAnswerBytes)
        return make_error(ErrorKind::Failed, "the engine's answer is too long");
      ipc::reserve_wiped(answer_, *count);
      answer_.append(reinterpret_cast<const char*>(chunk_.data()), *count);
    }
    return {};
  }

 private:
  os::Fd connection_;
  base::Bytes unsent_;
  std::array<std::uint8_t, kChunk> chunk_{};
  std::string answer_;
};

base::Error no_answer() {
  base::Error error = make_error(ErrorKind::Unavailable, "the engine does not answer");
  error.os_errno = ETIMEDOUT;
  return error;
}

/// Never waits: questions that a stuck engine has not accepted fill the queue of its socket.
base::Result<os::Fd> connect_to(const std::string& path) {
  auto connection = os::unix_connect_now(os::UnixType::Stream, path);
  if (!connection && connection.error().os_errno == EAGAIN) return no_answer();
  return connection;
}

}  // namespace

base::Result<std::string> exchange(const std::string& path, std::string_view request,
                                   const ExchangeContext& context) {
  WARREN_TRY_ASSIGN(os::Fd connection, connect_to(path));
  WARREN_TRY_ASSIGN(const std::unique_ptr<os::Loop> loop, os::Loop::create());
  Conversation conversation(std::move(connection), request);
  base::Status failure;
  bool ended = false;
  WARREN_TRY(loop->watch(
      conversation.descriptor(),
      [&](os::Ready ready) {
        failure = conversation.handle_ready(ready);
        if (failure && !conversation.unsent())
          failure = loop->set_want_write(conversation.descriptor(), false);
      },
      true));
  if (context.channel != nullptr)
    WARREN_TRY(loop->watch(context.channel->get(), [&](os::Ready ready) {
      context.on_channel();
      // A channel that the engine closed stays readable; its process tells the rest.
      if (ready.hangup) loop->forget(context.channel->get());
    }));
  if (context.process != nullptr)
    WARREN_TRY(loop->watch(context.process->get(), [&](os::Ready) { ended = true; }));

  const base::Instant deadline = os::now() + context.at_most;
  while (!conversation.done()) {
    WARREN_TRY(loop->run_once(deadline));
    if (conversation.done()) break;
    if (!failure) return std::move(failure).error();
    if (ended) return make_error(ErrorKind::Unavailable, "the engine ended");
    if (os::now() >= deadline) return no_answer();
  }
  return conversation.take_answer();
}

}  // namespace warren::gateway
