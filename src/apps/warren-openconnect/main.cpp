// warren-openconnect: holds one AnyConnect session for `warren run openconnect://HOST`.
//
// Started by warren with one socket; it takes no argument and is of no use by itself.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>

#include "apps/warren-openconnect/channel.hpp"
#include "apps/warren-openconnect/client.hpp"
#include "apps/warren-openconnect/sandbox.hpp"

namespace {

namespace app = warren::app;
namespace base = warren::base;
namespace ipc = warren::ipc;
namespace os = warren::os;

base::Status hold_session(app::Channel& channel) {
  WARREN_TRY_ASSIGN(ipc::AnyConnectMessage start, channel.receive());
  if (start.type != ipc::AnyConnectType::Start || start.get("version") != ipc::kAnyConnectVersion) {
    return base::make_error(base::ErrorKind::Invalid,
                            "warren-openconnect was started by another version of warren",
                            "install both of the same release");
  }
  const auto client = std::make_unique<app::Client>(std::move(start), channel);
  WARREN_TRY(client->prepare());
  WARREN_TRY(app::enter_sandbox([&] { client->listen(); }).within("enter the sandbox"));
  WARREN_TRY(client->log_in());
  return client->carry();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--version") == 0) {
    std::printf("warren-openconnect %s (libopenconnect %s)\n", WARREN_VERSION,
                openconnect_get_version());
    return 0;
  }
  os::Fd socket(ipc::kAnyConnectFd);
  if (argc > 1 || fcntl(socket.get(), F_GETFD) < 0) {
    std::fprintf(stderr, "warren-openconnect: started by `warren run openconnect://HOST`\n");
    return 2;
  }
  static app::Channel channel(std::move(socket));
  const base::Status ended = hold_session(channel);
  if (!ended) std::ignore = channel.send(ipc::write_failure(ended.error()));
  _exit(ended ? 0 : 1);  // the channel's thread still waits
}
