#include "netns/clients.hpp"

#include "netns/limits.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

namespace warren::netns {

Clients::~Clients() {
  if (listener_) loop_.forget(listener_.get());
  for (const auto& [number, client] : unread_) loop_.forget(number);
}

base::Status Clients::listen(const std::string& path) {
  WARREN_TRY_ASSIGN(listener_, os::unix_listen(os::UnixType::SeqPacket, path, 0600));
  return loop_.watch(listener_.get(), [this](os::Ready) { handle_client(); });
}

void Clients::handle_client() {
  auto client = os::unix_accept(listener_);
  const std::size_t waiting = unread_.size() + echo_clients_.size() + net_clients_.size();
  if (!client || waiting >= kMaxStatusClients) return;  // closing it says no
  const int number = client->get();
  if (!loop_.watch(number, [this, number](os::Ready) { handle_request(number); })) return;
  unread_.emplace(number, std::move(*client));
}

void Clients::handle_request(int descriptor) {
  loop_.forget(descriptor);
  auto node = unread_.extract(descriptor);
  if (node.empty()) return;
  os::Fd client = std::move(node.mapped());
  const auto request = receive_control(client);
  if (!request || request->closed) return;
  if (request->type == Control::OpenEcho && ask_echo_) {
    echo_clients_.push_back(std::move(client));
    ask_echo_();
  } else if (request->type == Control::StartNet) {
    net_clients_.push_back(std::move(client));
    ask_net_();
  }
}

void Clients::answer_echo(const ControlMessage& message) {
  if (echo_clients_.empty()) return;
  const os::Fd client = std::move(echo_clients_.front());
  echo_clients_.pop_front();
  const os::Fd* socket = message.descriptor ? &message.descriptor : nullptr;
  static_cast<void>(send_control(client, Control::EchoSocket, message.fields, socket));
}

void Clients::answer_net(const base::Status& result) {
  for (const os::Fd& client : net_clients_) {
    if (result) {
      static_cast<void>(send_control(client, Control::NetUp));
    } else {
      const auto fields = failure_fields(kOwnFailure, result.error());
      static_cast<void>(send_control(client, Control::NetFailed, fields));
    }
  }
  net_clients_.clear();
}

base::Result<ControlMessage> ask_run(const std::string& path, Control request,
                                     base::Duration wait) {
  WARREN_TRY_ASSIGN(const os::Fd control, os::unix_connect(os::UnixType::SeqPacket, path));
  WARREN_TRY(send_control(control, request));
  WARREN_TRY_ASSIGN(const bool readable, os::wait_readable(control, wait));
  if (!readable) return base::os_error("ask the run", ETIMEDOUT);
  WARREN_TRY_ASSIGN(ControlMessage message, receive_control(control));
  if (message.closed) return base::make_error(base::ErrorKind::Unavailable, "the run is ending");
  return message;
}

}  // namespace warren::netns
