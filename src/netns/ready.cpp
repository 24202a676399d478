#include "netns/ready.hpp"

#include <algorithm>

#include "netns/clients.hpp"
#include "netns/echo.hpp"
#include "netns/limits.hpp"
#include "netns/runs.hpp"
#include "netns/runtime_dir.hpp"
#include "os/clock.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

// Theory of operation. The checker asks the engine itself for its handshakes, over the run's
// userspace API. For the echo it connects to the supervisor's control socket and gets an ICMP
// socket that init opened inside the namespace; the checker sends and receives on it, so neither
// supervisor nor init parses a packet, and no namespace is entered. The echo comes first: it makes
// a tunnel at rest shake hands.

namespace warren::netns {

namespace {

using base::ErrorKind;
using base::make_error;

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    out.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

RunStatus status_of(RunState state) {
  RunStatus status;
  status.name = state["name"];
  status.profile = state["profile"];
  const auto pid = [&](const char* key) {
    return static_cast<pid_t>(base::parse_number(state[key], 0, 1U << 30).value_or(0));
  };
  status.pid = pid("pid");
  status.init = pid("init");
  status.public_key = state["public_key"];
  status.addresses = split(state["addresses"]);
  status.uapi_path = state["uapi"];
  const auto seconds = [&](const char* key) {
    return static_cast<std::int64_t>(base::parse_number(state[key], 0, 1ULL << 33).value_or(0));
  };
  status.since_s = seconds("since");
  status.session.ns = seconds("session") * 1'000'000'000;
  status.net = state["net"] != "off";
  status.exposed = split(state["exposed"]);
  status.echo_target = base::IpAddress::parse(state["echo_target"]);
  return status;
}

base::Result<bool> has_handshake(const RunStatus& run, base::Duration wait) {
  WARREN_TRY_ASSIGN(const Traffic traffic, traffic_of(run, wait));
  return traffic.last_handshake.ns != 0;
}

base::Result<os::Fd> get_echo_socket(const std::string& control_path, base::Instant deadline) {
  WARREN_TRY_ASSIGN(ControlMessage message,
                    ask_run(control_path, Control::OpenEcho, deadline - os::now()));
  if (message.descriptor) return std::move(message.descriptor);
  return make_error(ErrorKind::Unavailable,
                    message.fields.empty() ? "the run is ending" : message.fields[0]);
}

/// One look. An Error of kind Unavailable says what is missing.
base::Result<RunStatus> look(const std::string& runtime_dir, const std::string& run,
                             base::Instant deadline) {
  WARREN_TRY_ASSIGN(RunState state, find_run(runtime_dir, run));
  const std::string control_path = state["control"];
  RunStatus status = status_of(std::move(state));
  const std::string name = "run `" + status.name + "` is not ready: ";
  if (!status.net) {
    return make_error(ErrorKind::Unavailable, name + "its tunnel is not started",
                      "start it: warren attach " + status.name + " --start-net");
  }
  const std::string hint =
      "check Endpoint, that UDP reaches it, and that both sides know each other's public key";
  if (status.echo_target) {
    WARREN_TRY_ASSIGN(const os::Fd socket, get_echo_socket(control_path, deadline));
    WARREN_TRY_ASSIGN(status.echo_round_trip, wait_for_echo(socket, *status.echo_target, deadline));
  }
  WARREN_TRY_ASSIGN(status.handshake,
                    has_handshake(status, deadline - os::now() + std::chrono::milliseconds(500)));
  if (!status.handshake) {
    return make_error(ErrorKind::Unavailable, name + "no handshake with its peer yet", hint);
  }
  if (status.echo_target && !status.echo_round_trip) {
    return make_error(ErrorKind::Unavailable,
                      name + "no echo from " + status.echo_target->to_string(),
                      "the handshake works; does that address answer ping?");
  }
  return status;
}

bool may_change(const base::Error& error) {
  return error.kind == ErrorKind::NotFound || error.kind == ErrorKind::Unavailable ||
         error.os_errno == ECONNREFUSED || error.os_errno == ECONNRESET;
}

}  // namespace

base::Result<std::vector<RunStatus>> list_runs(const std::string& runtime_dir) {
  remove_stale(runtime_dir);
  WARREN_TRY_ASSIGN(auto states, live_states(runtime_dir));
  std::vector<RunStatus> out;
  for (RunState& state : states) out.push_back(status_of(std::move(state)));
  return out;
}

base::Result<RunStatus> check_ready(const std::string& runtime_dir, const std::string& run,
                                    base::Duration wait) {
  const base::Instant deadline = os::now() + wait;
  WARREN_TRY_ASSIGN(const auto never, os::unix_pair(os::UnixType::SeqPacket));  // for the pauses
  while (true) {
    // One look takes a round trip at least, whatever the wait.
    auto status = look(runtime_dir, run, std::max(deadline, os::now() + kOneLook));
    if (status || !may_change(status.error())) return status;
    const base::Duration left = deadline - os::now();
    if (left <= base::Duration(0)) return status;
    WARREN_TRY(os::wait_readable(never.first, std::min(left, kReadyInterval)));
  }
}

}  // namespace warren::netns
