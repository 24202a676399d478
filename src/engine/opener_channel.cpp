#include "engine/opener_channel.hpp"

#include "os/clock.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

namespace warren::engine {

namespace {

base::Error no_opener() { return base::os_error("ask the opener", ENOTCONN); }

}  // namespace

std::optional<OpenerChannel::Answer> OpenerChannel::receive(std::uint32_t wanted_sequence) {
  auto got = os::receive_message(socket_, ipc::kMaxOpenerMessage);
  if (!got) return std::nullopt;
  if (got->closed) {
    socket_.reset();
    return std::nullopt;
  }
  auto message = ipc::parse_opener(got->bytes);
  if (!message) {  // an opener that speaks nonsense is no opener
    socket_.reset();
    return std::nullopt;
  }
  if (message->sequence == 0) {
    notices_.push_back(std::move(message->body));
    return std::nullopt;
  }
  if (message->sequence != wanted_sequence) return std::nullopt;
  return Answer{std::move(message->body), std::move(got->descriptors)};
}

base::Result<OpenerChannel::Answer> OpenerChannel::ask(const ipc::OpenerBody& question,
                                                       base::Duration patience) {
  if (!is_open()) return no_opener();
  if (++sequence_ == 0) ++sequence_;
  WARREN_TRY(os::send_message(socket_, ipc::write_opener({sequence_, question})));
  const base::Instant deadline = os::now() + patience;
  while (is_open()) {
    WARREN_TRY_ASSIGN(const bool readable, os::wait_readable(socket_, deadline - os::now()));
    if (!readable) return base::os_error("wait for the opener's answer", ETIMEDOUT);
    if (auto answer = receive(sequence_)) return std::move(*answer);
  }
  return no_opener();
}

base::Status OpenerChannel::notify(const ipc::OpenerBody& body,
                                   const std::vector<const os::Fd*>& descriptors) {
  if (!is_open()) return no_opener();
  return os::send_message(socket_, ipc::write_opener({0, body}), descriptors);
}

bool OpenerChannel::handle_readable() {
  while (is_open()) {
    const auto readable = os::wait_readable(socket_, base::Duration(0));
    if (!readable || !*readable) return true;
    std::ignore = receive(0);
  }
  return false;
}

std::optional<ipc::OpenerBody> OpenerChannel::poll_notice() {
  if (notices_.empty()) return std::nullopt;
  ipc::OpenerBody notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

}  // namespace warren::engine
