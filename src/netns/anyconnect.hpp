// The session of a run with an AnyConnect server, held by a process of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"
#include "ipc/anyconnect.hpp"
#include "os/fd.hpp"
#include "os/process.hpp"

namespace warren::netns {

struct RunConfig;

/// The program that holds sessions: $WARREN_OPENCONNECT, or `warren-openconnect` beside the running
/// program. NotFound, with what to do, where this build came without it.
[[nodiscard]] base::Result<std::string> openconnect_program();

/// What the server asks of the user.
struct AnyConnectQuestion {
  std::string name;     ///< of the field: "username", "password" …
  std::string label;    ///< for people
  std::string message;  ///< what the server says beside it: why it asks again, for example
  bool secret = false;
  unsigned attempt = 1;
};
using AnyConnectAsker =
    std::move_only_function<base::Result<std::string>(const AnyConnectQuestion&)>;
using AnyConnectNotice = std::move_only_function<void(const std::string&)>;

/// A process of the session program, and the socket to it.
struct AnyConnectProcess {
  os::Child child;
  os::Fd socket;

  [[nodiscard]] static base::Result<AnyConnectProcess> start(const std::string& program,
                                                             const ipc::AnyConnectMessage& start);
  /// Lets it log out and end, within a limit.
  void end();
};

/// What a run keeps of its AnyConnect server.
struct AnyConnectRun {
  std::string program;
  ipc::AnyConnectMessage start;                ///< as of AnyConnectType::Start, without a cookie
  std::map<std::string, std::string> answers;  ///< to the server's questions, by their keys
  ipc::AnyConnectSession session;
  AnyConnectProcess process;  ///< logged in; until the run's supervisor has it
  bool split = false;         ///< follow the server's lists of routes
  bool own_names = false;     ///< what the server says about DNS does not count
  AnyConnectNotice notice;    ///< lines for people

  AnyConnectRun() = default;
  AnyConnectRun(const AnyConnectRun&) = delete;
  AnyConnectRun& operator=(const AnyConnectRun&) = delete;
  ~AnyConnectRun();  ///< wipes the secrets; the process goes on
};

/// Starts the program and logs in; asks `ask` what the server wants to know, and keeps the answers.
/// Errors: what the server or the program said.
[[nodiscard]] base::Status log_in(AnyConnectRun& run, AnyConnectAsker ask);

/// Fills the network of a run from what its server said.
void apply_session(const AnyConnectRun& run, RunConfig& config);

}  // namespace warren::netns
