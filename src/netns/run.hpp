// `warren run`: a program in namespaces of its own whose only network is a tunnel, with no
// privilege at all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/key.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "ipc/uapi.hpp"
#include "netns/anyconnect.hpp"
#include "netns/exposure.hpp"
#include "netns/follower.hpp"

namespace warren::netns {

/// The name of the tun inside a run.
inline constexpr const char* kInterfaceName = "warren0";
inline constexpr std::uint32_t kDefaultMtu = 1420;

/// What the tun of a run is given.
struct RunNetwork {
  std::vector<base::Prefix> addresses;
  std::vector<base::Prefix> routes;
  std::vector<base::Prefix> refused_routes;  ///< parts of `routes` that go nowhere
  std::uint32_t mtu = kDefaultMtu;
};

struct RunConfig : RunNetwork {
  std::string name;                            ///< of the run: [A-Za-z0-9][A-Za-z0-9._-]{0,31}
  std::string profile;                         ///< what the user named, for messages and status
  base::PublicKey public_key;                  ///< one run at a time per key; zero: there is none
  std::string interface_name{kInterfaceName};  ///< what the engine calls it in its messages
  /// Private key, port, mark and peers; endpoints are resolved.
  ipc::UapiSet engine;
  /// Set: the tunnel is a session with an AnyConnect server, not a WireGuard engine.
  std::unique_ptr<AnyConnectRun> anyconnect;
  std::vector<base::IpAddress> dns_servers;  ///< none: no name is looked up at all
  std::vector<std::string> dns_search;
  bool tun_offloads = true;  ///< the tunnel takes super-packets
  /// Who answers echo requests once the tunnel works; nullopt: nobody is known.
  std::optional<base::IpAddress> echo_target;
  /// Start the command only after an echo came back; nullopt: at once.
  std::optional<base::Duration> wait_ready;
  std::vector<std::string> argv;            ///< argv[0] is looked up in PATH
  std::vector<std::string> environment;     ///< all of it, "K=V"
  std::vector<std::string> services;        ///< "K=V" that the network tells, without blanks
  std::string runtime_dir;                  ///< from runtime_directory()
  std::string shared_keys;                  ///< RunLockRequest::shared_keys
  std::string session_dir;                  ///< $XDG_RUNTIME_DIR; empty inside
  std::vector<std::string> kept;            ///< paths the run sees as the host has them
  std::vector<std::string> hidden_sockets;  ///< paths of sockets that lead out
  bool weak_dns = false;                    ///< go on where the run cannot have its own /etc
  bool private_tmp = false;                 ///< an empty /tmp and /var/tmp
  std::vector<Exposure> exposures;          ///< ports of the command that the host may reach
  bool no_net = false;                      ///< the tunnel is started later, by `start_net`
  /// Called in the supervisor when the command runs.
  std::move_only_function<void()> on_started = nullptr;
  std::string pid_file;        ///< of a detached run, absolute: told in its state; empty: none
  unsigned preserve_fds = 0;   ///< descriptors 3, 4, … that the command inherits
  std::string engine_program;  ///< from engine_program()
  /// Tells what changes while the run lives; nullptr: nobody does.
  std::unique_ptr<Follower> follower;

  /// Wipes keys and passwords and closes what leads to the tunnel: for a forked child.
  void forget_secrets() {
    engine = ipc::UapiSet{};
    anyconnect.reset();
    follower.reset();
  }
};

/// How a run ended. `why` is set when the end was ours or the command could not start.
struct RunEnd {
  int exit_code = 125;
  std::optional<base::Error> why = std::nullopt;
};

/// Runs the command and waits for its end. The code: the command's, 128 + signal, 126 (cannot be
/// executed), 127 (not found), or 125 for a failure of our own (Conflict when key or name is in
/// use). The caller has one thread. Afterwards no process, file, mount or namespace of the run is
/// left.
[[nodiscard]] RunEnd run(RunConfig config);

/// The program of the data plane: $WARREN_ENGINE, or `warren-engine` beside the running program.
[[nodiscard]] base::Result<std::string> engine_program();

/// Looks a host name up with the host's resolver. Unavailable or NotFound with a hint.
[[nodiscard]] base::Result<base::Endpoint> resolve(const base::HostPort& at);

/// Whether a text may name a run.
[[nodiscard]] bool is_run_name(const std::string& name);

}  // namespace warren::netns
