#include "apps/warren-openconnect/channel.hpp"

#include <openconnect.h>
#include <unistd.h>

#include <thread>

#include "os/process.hpp"
#include "os/unix_socket.hpp"

namespace warren::app {

namespace {

using ipc::AnyConnectMessage;
using ipc::AnyConnectType;

/// How long logging out may take.
constexpr base::Duration kFarewell = std::chrono::milliseconds(1500);

}  // namespace

base::Result<AnyConnectMessage> Channel::receive() {
  WARREN_TRY_ASSIGN(const os::FdMessage raw,
                    os::receive_message(socket_, ipc::kMaxAnyConnectMessage));
  if (raw.closed) return base::make_error(base::ErrorKind::Unavailable, "the run is gone");
  return ipc::parse_anyconnect(raw.bytes);
}

base::Status Channel::send(const AnyConnectMessage& message) {
  WARREN_TRY_ASSIGN(const auto bytes, ipc::write_anyconnect(message));
  return os::send_message(socket_, bytes);
}

void Channel::listen(int command) {
  command_ = command;
  std::thread([this] { read_on(); }).detach();
}

void Channel::begin_main_loop() {
  const std::lock_guard lock(mutex_);
  in_main_loop_ = true;
}

void Channel::read_on() {
  while (true) {
    auto raw = os::receive_message(socket_, ipc::kMaxAnyConnectMessage);
    if (!raw || raw->closed) break;
    auto message = ipc::parse_anyconnect(raw->bytes);
    if (!message || message->type == AnyConnectType::End) break;
    handle(std::move(*message), std::move(raw->descriptors));
  }
  end();
}

void Channel::handle(AnyConnectMessage message, std::vector<os::Fd> descriptors) {
  const std::lock_guard lock(mutex_);
  if (message.type == AnyConnectType::Answer) answers_.push_back(message.get("text"));
  if (message.type == AnyConnectType::Tun && !descriptors.empty()) {
    tun_ = std::move(descriptors[0]);
  }
  message.wipe();
  changed_.notify_all();
}

/// The main thread may be deep inside the library: it gets its time to log out, no more.
void Channel::end() {
  bool log_out = false;
  {
    const std::lock_guard lock(mutex_);
    log_out = in_main_loop_;
    ending_ = true;
  }
  if (log_out) {
    const char code = OC_CMD_CANCEL;
    std::ignore = write(command_, &code, 1);
    changed_.notify_all();
    std::unique_lock lock(mutex_);
    std::condition_variable never;
    never.wait_for(lock, kFarewell, [] { return false; });
  }
  _exit(0);
}

base::Result<std::string> Channel::ask(const AnyConnectMessage& question) {
  WARREN_TRY(send(question));
  if (command_ < 0) {
    WARREN_TRY_ASSIGN(const AnyConnectMessage message, receive());
    return message.get("text");
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !answers_.empty(); });
  std::string answer = std::move(answers_.front());
  answers_.pop_front();
  return answer;
}

os::Fd Channel::wait_for_tun() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return tun_ || ending_; });
  return std::move(tun_);
}

}  // namespace warren::app
