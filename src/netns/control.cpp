#include "netns/control.hpp"

#include "base/bytes.hpp"
#include "netns/limits.hpp"
#include "os/unix_socket.hpp"

namespace warren::netns {

base::Status send_control(const os::Fd& socket, Control type,
                          const std::vector<std::string>& fields, const os::Fd* descriptor) {
  std::string text(1, static_cast<char>(type));
  for (const std::string& field : fields) text.append(field) += '\0';
  if (text.size() > kMaxControlMessage) text.resize(kMaxControlMessage);
  std::vector<const os::Fd*> descriptors;
  if (descriptor != nullptr) descriptors.push_back(descriptor);
  return os::send_message(socket, base::as_bytes(text), descriptors);
}

base::Result<ControlMessage> receive_control(const os::Fd& socket) {
  WARREN_TRY_ASSIGN(os::FdMessage raw, os::receive_message(socket, kMaxControlMessage));
  ControlMessage message;
  message.closed = raw.closed || raw.bytes.empty();
  if (message.closed) return message;
  message.type = static_cast<Control>(raw.bytes[0]);
  std::string field;
  for (std::size_t i = 1; i < raw.bytes.size(); ++i) {
    if (raw.bytes[i] != 0) {
      field += static_cast<char>(raw.bytes[i]);
      continue;
    }
    message.fields.push_back(std::move(field));
    field.clear();
  }
  if (!field.empty()) message.fields.push_back(std::move(field));  // a text that was cut
  if (!raw.descriptors.empty()) message.descriptor = std::move(raw.descriptors[0]);
  return message;
}

std::vector<std::string> failure_fields(int exit_code, const base::Error& error) {
  return {std::to_string(exit_code), std::to_string(static_cast<int>(error.kind)), error.message,
          error.hint};
}

Failure read_failure(const ControlMessage& message) {
  const auto field = [&](std::size_t i) {
    return i < message.fields.size() ? message.fields[i] : std::string();
  };
  const auto kinds = static_cast<std::uint64_t>(base::ErrorKind::Internal);
  const auto kind = base::parse_number(field(1), 0, kinds).value_or(0);
  return {.exit_code = static_cast<int>(base::parse_number(field(0), 0, 255).value_or(125)),
          .error = base::make_error(static_cast<base::ErrorKind>(kind), field(2), field(3))};
}

}  // namespace warren::netns
