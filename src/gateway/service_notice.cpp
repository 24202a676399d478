#include "gateway/service_notice.hpp"

#include <cstdlib>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/datagram_protocol.hpp>

namespace warren::gateway {

base::Status notify_service_manager(std::string_view state) {
  using Protocol = boost::asio::local::datagram_protocol;
  const char* name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr || *name == '\0') return {};
  constexpr std::size_t kMaxPath = 107;
  std::string path = name;
  if (path.size() > kMaxPath || (path[0] != '/' && path[0] != '@'))
    return base::make_error(base::ErrorKind::Invalid, "NOTIFY_SOCKET is not a socket's path");
  if (path[0] == '@') path[0] = '\0';  // an abstract name
  boost::asio::io_context io;
  Protocol::socket socket(io);
  boost::system::error_code error;
  if (!socket.open(Protocol(), error))
    socket.send_to(boost::asio::buffer(state.data(), state.size()), Protocol::endpoint(path), 0,
                   error);
  if (error) return base::os_error("notify the service manager", error.value());
  return {};
}

}  // namespace warren::gateway
