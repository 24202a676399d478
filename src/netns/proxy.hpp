// `warren proxy`: where namespaces are forbidden, a tunnel that only those programs are in who
// speak to a proxy on the loopback. docs/design/0017-proxy.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "netns/run.hpp"

namespace warren::netns {

/// UDP associations at the same time.
inline constexpr std::uint32_t kProxyRelays = 32;

/// How programs reach the proxy; they hold its password.
struct ProxyUrls {
  std::string socks;  ///< "socks5h://warren:…@127.0.0.1:40000"
  std::string http;
};

struct ProxyConfig {
  /// As for a run, of which it uses name, profile, keys, addresses, routes, DNS, MTU, wait_ready,
  /// command and environment. Without a command it serves until a signal ends it.
  RunConfig run;
  base::Endpoint listen;               ///< on the loopback; port 0: the kernel chooses
  std::vector<std::string> variables;  ///< "K=V", set after the proxy's own
  std::string stack_program;           ///< from stack_program()
  /// Called when clients are served, before the command is started.
  std::move_only_function<void(const ProxyUrls&)> on_serving = nullptr;
};

/// Starts the proxy and the command and waits for the command's end: codes as of run(); 0 when
/// there is no command and SIGINT, SIGTERM, SIGHUP or SIGQUIT came. Afterwards no process but what
/// the command has left, and no file, is there. The caller has one thread.
[[nodiscard]] RunEnd run_proxy(ProxyConfig config);

/// $WARREN_STACK, or `warren-stack` beside the running program.
[[nodiscard]] base::Result<std::string> stack_program();

}  // namespace warren::netns
