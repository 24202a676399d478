// warren-stack: TCP/IP in user space with a SOCKS5 and HTTP proxy in front, started by
// `warren proxy`, which hands it its descriptors.
#include <fmt/core.h>

#include <string_view>

#include "proxy/server.hpp"

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    fmt::print("warren-stack {}\n", WARREN_VERSION);
    return 0;
  }
  const warren::base::Status served = warren::proxy::serve();
  if (served) return 0;
  fmt::print(stderr, "warren-stack: {}\n", served.error().message);
  if (!served.error().hint.empty()) fmt::print(stderr, "  hint: {}\n", served.error().hint);
  return 1;
}
