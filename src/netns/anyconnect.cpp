#include "netns/anyconnect.hpp"

#include <signal.h>

#include <algorithm>

#include "crypto/secret.hpp"
#include "netns/limits.hpp"
#include "netns/own_program.hpp"
#include "netns/run.hpp"
#include "os/stream.hpp"
#include "os/unix_socket.hpp"

// Theory of operation. The first login happens before the run's namespaces are made: what the
// server says about addresses and names goes into the run's configuration like a profile, and the
// terminal is still the caller's. The process that logged in then waits, its session open, for the
// tun. Later ones, after a loss, log in with the cookie of the session or with the kept answers,
// unattended (AnyConnectHost).
//
// The process is not tied to the thread that started it: a detached run has another supervisor. It
// ends when its socket does.

namespace warren::netns {

using base::ErrorKind;
using base::make_error;
using ipc::AnyConnectMessage;
using ipc::AnyConnectType;

namespace {

void wipe(std::string& text) {
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
}

/// "10.99.0.7/24" gives 10.99.0.0/24.
void add_network(const base::Prefix& own, std::vector<base::Prefix>& routes) {
  const base::Prefix network = own.network();
  if (std::ranges::find(routes, network) == routes.end()) routes.push_back(network);
}

base::Result<AnyConnectMessage> receive(const os::Fd& socket) {
  WARREN_TRY_ASSIGN(const bool readable, os::wait_readable(socket, kLoginStep));
  if (!readable) return base::os_error("wait for the AnyConnect server", ETIMEDOUT);
  WARREN_TRY_ASSIGN(const os::FdMessage raw,
                    os::receive_message(socket, ipc::kMaxAnyConnectMessage));
  if (raw.closed) {
    return make_error(ErrorKind::Failed, "warren-openconnect ended while it logged in",
                      "see the kernel log: its sandbox may have ended it");
  }
  return ipc::parse_anyconnect(raw.bytes);
}

base::Status send(const os::Fd& socket, const AnyConnectMessage& message) {
  WARREN_TRY_ASSIGN(auto bytes, ipc::write_anyconnect(message));
  base::Status sent = os::send_message(socket, bytes);
  crypto::wipe(bytes);
  return sent;
}

base::Status answer(AnyConnectRun& run, const AnyConnectMessage& message, AnyConnectAsker& ask) {
  AnyConnectQuestion question;
  question.name = message.get("name");
  question.label = message.get("label");
  question.message = message.get("message");
  question.secret = message.get("secret") == "1";
  question.attempt =
      static_cast<unsigned>(base::parse_number(message.get("attempt"), 1, 1000).value_or(1));
  WARREN_TRY_ASSIGN(std::string text, ask(question));
  AnyConnectMessage reply{.type = AnyConnectType::Answer, .fields = {}};
  reply.add("text", text);
  run.answers[message.get("key")] = text;
  wipe(text);
  base::Status sent = send(run.process.socket, reply);
  reply.wipe();
  return sent;
}

}  // namespace

base::Result<std::string> openconnect_program() {
  return own_program(
      "WARREN_OPENCONNECT", "warren-openconnect",
      "this build has no AnyConnect: its portable folder leaves it out, and a build needs "
      "libopenconnect; install the distribution's package of warren");
}

AnyConnectRun::~AnyConnectRun() {
  for (auto& [name, text] : answers) wipe(text);
  wipe(session.cookie);
  start.wipe();
}

base::Result<AnyConnectProcess> AnyConnectProcess::start(const std::string& program,
                                                         const AnyConnectMessage& start) {
  WARREN_TRY_ASSIGN(auto pair, os::unix_pair(os::UnixType::SeqPacket));
  WARREN_TRY_ASSIGN(const os::Fd null, os::open_null());
  os::SpawnOptions options;
  options.argv = {program};
  // Its words come over the socket: a detached run's caller waits for the end of its own streams.
  options.descriptors = {{1, &null}, {2, &null}, {ipc::kAnyConnectFd, &pair.second}};
  options.new_session = true;  // a terminal's signals are not for it
  AnyConnectProcess process;
  WARREN_TRY_ASSIGN(process.child, os::spawn(options));
  process.socket = std::move(pair.first);
  WARREN_TRY(send(process.socket, start));
  return process;
}

void AnyConnectProcess::end() {
  if (!child.pidfd) return;
  if (socket) static_cast<void>(send(socket, {.type = AnyConnectType::End, .fields = {}}));
  socket.reset();
  const auto ended = os::wait_readable(child.pidfd, kSessionFarewell);
  if (!ended || !*ended) {
    static_cast<void>(os::send_signal(child.pidfd, SIGKILL));
    static_cast<void>(os::wait_readable(child.pidfd, kSessionFarewell));
  }
  static_cast<void>(os::try_wait(child));  // not ours in a detached run
  child = {};
}

base::Status log_in(AnyConnectRun& run, AnyConnectAsker ask) {
  const auto talk = [&]() -> base::Status {
    while (true) {
      WARREN_TRY_ASSIGN(AnyConnectMessage message, receive(run.process.socket));
      switch (message.type) {
        case AnyConnectType::Question:
          WARREN_TRY(answer(run, message, ask));
          break;
        case AnyConnectType::Session: {
          auto session = ipc::parse_session(message);
          message.wipe();
          if (!session) return std::move(session).error();
          run.session = std::move(*session);
          return {};
        }
        case AnyConnectType::Notice:
          if (run.notice) run.notice(message.get("text"));
          break;
        case AnyConnectType::Failure:
          return ipc::parse_failure(message);
        default:
          return make_error(ErrorKind::Internal, "warren-openconnect sent an unknown message");
      }
    }
  };
  WARREN_TRY_ASSIGN(run.process, AnyConnectProcess::start(run.program, run.start));
  base::Status done = talk();
  if (!done) run.process.end();
  return done;
}

void apply_session(const AnyConnectRun& run, RunConfig& config) {
  const ipc::AnyConnectSession& session = run.session;
  config.addresses.clear();
  config.routes.clear();
  config.refused_routes.clear();
  config.mtu = session.mtu;
  const bool all = !run.split || session.includes.empty();
  for (const base::Prefix& own : session.addresses) {
    config.addresses.push_back(base::Prefix::host(own.address));
    if (!all) add_network(own, config.routes);
  }
  if (all) {
    config.routes = {*base::Prefix::parse("0.0.0.0/0"), *base::Prefix::parse("::/0")};
  }
  if (run.split) {
    for (const base::Prefix& prefix : session.includes) add_network(prefix, config.routes);
    for (const base::Prefix& prefix : session.excludes) {
      add_network(prefix, config.refused_routes);
    }
    for (const base::IpAddress& server : session.dns_servers) {
      add_network(base::Prefix::host(server), config.routes);
    }
  }
  if (run.own_names) return;
  config.dns_servers = session.dns_servers;
  config.dns_search = session.dns_search;
}

}  // namespace warren::netns
