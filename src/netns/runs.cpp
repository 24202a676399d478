#include "netns/runs.hpp"

#include <signal.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "crypto/secret.hpp"
#include "ipc/uapi.hpp"
#include "netns/clients.hpp"
#include "netns/limits.hpp"
#include "netns/run.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "os/stream.hpp"
#include "os/unix_socket.hpp"

namespace warren::netns {

using base::ErrorKind;
using base::make_error;

base::Result<RunState> find_run(const std::string& runtime_dir, const std::string& run) {
  WARREN_TRY_ASSIGN(auto states, live_states(runtime_dir));
  for (const char* key : {"name", "profile"}) {
    for (RunState& state : states) {
      if (!run.empty() && state[key] == run) return std::move(state);
    }
  }
  if (run.empty() && states.size() == 1) return std::move(states[0]);
  if (run.empty() && states.size() > 1) {
    std::string names;
    for (RunState& state : states) names += (names.empty() ? "" : ", ") + state["name"];
    return make_error(ErrorKind::Conflict, "there are several runs: " + names, "name one of them");
  }
  return make_error(ErrorKind::NotFound,
                    run.empty() ? "there is no run" : "there is no run `" + run + "`",
                    "`warren ps` lists them; start one with `warren run PROFILE -- COMMAND`");
}

base::Result<ipc::UapiStatus> ask_engine(const std::string& uapi_path, base::Instant deadline) {
  WARREN_TRY_ASSIGN(const os::Fd api, os::unix_connect(os::UnixType::Stream, uapi_path));
  WARREN_TRY(os::write_some(api, base::as_bytes("get=1\n\n")));
  std::string answer;
  std::array<std::uint8_t, 4096> room;
  while (!answer.ends_with("\n\n") && answer.size() < kMaxStatusAnswer) {
    WARREN_TRY_ASSIGN(const bool readable, os::wait_readable(api, deadline - os::now()));
    if (!readable) return base::os_error("ask the engine for its state", ETIMEDOUT);
    WARREN_TRY_ASSIGN(const auto got, os::read_some(api, room));
    if (!got) break;
    answer.append(reinterpret_cast<const char*>(room.data()), *got);
  }
  auto status = ipc::parse_uapi_status(answer);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(answer.data()), answer.size()});
  return status;
}

/// What the tun itself counted, in the table of the run's network namespace.
base::Result<Traffic> traffic_of_tun(const RunStatus& run) {
  const std::string path = "/proc/" + std::to_string(run.init) + "/net/dev";
  WARREN_TRY_ASSIGN(const std::string table, os::read_file(path, kMaxDeviceTable));
  std::istringstream lines(table);
  std::string name;
  while (lines >> name && name != std::string(kInterfaceName) + ":") {
    std::getline(lines, name);
  }
  std::array<std::uint64_t, 9> counts{};  // eight of what came in, then bytes that went out
  for (std::uint64_t& count : counts) lines >> count;
  if (!lines) return make_error(ErrorKind::NotFound, "the run has no tun yet");
  // What the tun received is what the program was sent, and the other way round.
  return Traffic{.received = counts[0], .sent = counts[8], .last_handshake = run.session};
}

base::Result<Traffic> traffic_of(const RunStatus& run, base::Duration wait) {
  if (run.uapi_path.empty()) return traffic_of_tun(run);
  WARREN_TRY_ASSIGN(const ipc::UapiStatus status, ask_engine(run.uapi_path, os::now() + wait));
  Traffic traffic;
  for (const ipc::UapiPeerStatus& peer : status.peers) {
    traffic.received += peer.rx_bytes;
    traffic.sent += peer.tx_bytes;
    if (peer.last_handshake.ns > traffic.last_handshake.ns) {
      traffic.last_handshake = peer.last_handshake;
    }
  }
  return traffic;
}

base::Status stop_run(const RunState& run, base::Duration grace) {
  const auto number = [&](const char* key) {
    const auto found = run.find(key);
    return found == run.end() ? 0 : base::parse_number(found->second, 0, ~0ULL).value_or(0);
  };
  const auto pid = static_cast<pid_t>(number("pid"));
  auto supervisor = os::open_pidfd(pid, number("start_time"));
  if (!supervisor) return {};  // it ended meanwhile
  static_cast<void>(os::send_signal(*supervisor, SIGTERM));
  static_cast<void>(os::send_signal(*supervisor, SIGCONT));  // a stopped job ends too
  WARREN_TRY_ASSIGN(bool ended, os::wait_readable(*supervisor, grace));
  if (ended) return {};
  // Its init is its child: the number is not used again while the supervisor lives.
  kill(static_cast<pid_t>(number("init")), SIGKILL);
  WARREN_TRY_ASSIGN(ended, os::wait_readable(*supervisor, kStopFarewell));
  if (ended) return {};
  WARREN_TRY(os::send_signal(*supervisor, SIGKILL));
  WARREN_TRY_ASSIGN(ended, os::wait_readable(*supervisor, kStopFarewell));
  if (ended) return {};
  return make_error(ErrorKind::Failed, "process " + std::to_string(pid) + " does not end");
}

base::Status start_net(const std::string& control_path) {
  WARREN_TRY_ASSIGN(const ControlMessage answer,
                    ask_run(control_path, Control::StartNet, kNetStart));
  if (answer.type == Control::NetUp) return {};
  return read_failure(answer).error;
}

}  // namespace warren::netns
