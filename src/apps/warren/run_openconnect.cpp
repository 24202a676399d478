#include "apps/warren/run_openconnect.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "apps/warren/secret_prompt.hpp"
#include "ipc/uapi.hpp"

namespace warren::app {

using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::string_view kScheme = "openconnect://";
constexpr const char* kDefaultPort = "443";
constexpr unsigned kMaxTypedTries = 3;
/// Leaves room for the process id in the name of a run.
constexpr std::size_t kMaxHostInName = 22;

struct Server {
  std::string host;
  std::string port = kDefaultPort;
  std::string path;  ///< a group's address, for some servers
  std::string user;
};

base::Error malformed(const std::string& url, const std::string& why) {
  return make_error(ErrorKind::Invalid, "`" + url + "`: " + why,
                    "write openconnect://HOST, openconnect://USER@HOST:PORT or with a path behind");
}

base::Result<Server> parse_url(const std::string& url) {
  Server server;
  std::string rest = url.substr(kScheme.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  server.path = rest.substr(slash);
  rest.resize(slash);
  if (const std::size_t at = rest.rfind('@'); at != std::string::npos) {
    server.user = rest.substr(0, at);
    rest.erase(0, at + 1);
    if (server.user.find(':') != std::string::npos) {
      return malformed("openconnect://…",
                       "a password does not belong into an argument, where "
                       "every user of this machine can read it");
    }
  }
  const bool bracketed = rest.starts_with('[');
  const std::size_t end = bracketed ? rest.find(']') : rest.rfind(':');
  if (bracketed && end == std::string::npos) return malformed(url, "the `]` is missing");
  server.host = bracketed ? rest.substr(1, end - 1) : rest.substr(0, end);
  const std::size_t colon = bracketed ? rest.find(':', end) : end;
  if (colon != std::string::npos) server.port = rest.substr(colon + 1);
  if (server.host.empty()) return malformed(url, "there is no host in it");
  if (!base::parse_number(server.port, 1, UINT16_MAX)) {
    return malformed(url, "`" + server.port + "` is not a port");
  }
  const bool printable = std::ranges::all_of(url, [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable) return malformed(url, "it holds blanks or control characters");
  return server;
}

/// The library gets paths that do not depend on where it runs.
base::Result<std::string> readable_file(const std::string& option, const std::string& path) {
  if (path.empty()) return path;
  const std::unique_ptr<char, void (*)(void*)> whole(realpath(path.c_str(), nullptr), std::free);
  if (!whole || access(whole.get(), R_OK) != 0) return base::os_error(option + ": read " + path);
  return std::string(whole.get());
}

base::Result<ipc::AnyConnectMessage> start_message(const RunArguments& arguments,
                                                   const Server& server) {
  ipc::AnyConnectMessage start{.type = ipc::AnyConnectType::Start, .fields = {}};
  const bool is_v6 = server.host.find(':') != std::string::npos;
  const std::string host = is_v6 ? "[" + server.host + "]" : server.host;
  start.add("version", ipc::kAnyConnectVersion);
  start.add("url", "https://" + host + ":" + server.port + server.path);
  start.add("host", server.host).add("port", server.port);
  const OpenconnectArguments& given = arguments.openconnect;
  for (const auto& [key, path] :
       {std::pair{"cert", &given.cert}, {"key", &given.key}, {"cafile", &given.cafile}}) {
    WARREN_TRY_ASSIGN(std::string file, readable_file(std::string("--") + key, *path));
    start.add(key, std::move(file));
  }
  if (!given.key.empty() && given.cert.empty()) {
    return make_error(ErrorKind::Invalid, "--key needs --cert",
                      "name the certificate that the key belongs to: --cert FILE");
  }
  if (!given.server_cert.empty() && !given.server_cert.starts_with("pin-sha256:")) {
    return make_error(ErrorKind::Invalid, "--servercert: `" + given.server_cert + "` is no pin",
                      "give it as warren shows it: pin-sha256:…");
  }
  start.add("pin", given.server_cert).add("group", given.group);
  const char* level = std::getenv("LOG_LEVEL");
  if (level != nullptr && std::string_view(level) == "verbose") start.add("verbose", "1");
  return start;
}

/// The user's name and password from options, file or environment; the rest, and what the server
/// refused, from the terminal.
class Answers {
 public:
  Answers(std::string user, std::string host) : user_(std::move(user)), host_(std::move(host)) {}
  ~Answers() { ipc::wipe_text(password_); }
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;

  base::Status read_password(const std::string& file) {
    if (!file.empty()) {
      WARREN_TRY_ASSIGN(file_, SecretFile::open(file));
      WARREN_TRY_ASSIGN(password_, file_->next());
    } else if (const char* set = std::getenv("WARREN_PASSWORD"); set != nullptr) {
      password_ = set;
    }
    return {};
  }

  base::Result<std::string> answer(const netns::AnyConnectQuestion& question) {
    if (question.attempt == 1 && !question.secret && question.name == "username") {
      if (!user_.empty()) return user_;
    }
    if (question.secret && !password_.empty() && !std::exchange(password_used_, true)) {
      return password_;
    }
    if (question.attempt > 1 && !typed_) return refused(question);
    // A password of one use, behind the password.
    if (question.secret && question.attempt == 1 && file_) {
      if (auto next = file_->next()) return next;
    }
    if (question.attempt > kMaxTypedTries) return refused(question);
    const std::string label = question.label.empty() ? question.name : question.label;
    const std::string shown = question.message.empty() ? "" : clean(question.message) + "\n";
    auto text = ask_on_terminal(shown + host_ + ": " + clean(label), question.secret);
    typed_ = true;
    if (text) return std::move(*text);
    return make_error(
        ErrorKind::NotPermitted,
        host_ + " asks for `" + clean(label) + "`, and there is no terminal to ask on",
        "give --user NAME and --password-file FILE (or - for standard input; a second line answers "
        "a second question), or set WARREN_PASSWORD");
  }

 private:
  base::Error refused(const netns::AnyConnectQuestion& question) const {
    const std::string who = user_.empty() ? "this login" : "the login of " + user_;
    return make_error(ErrorKind::NotPermitted,
                      host_ + " refused " + who +
                          (question.message.empty() ? "" : ": " + clean(question.message)),
                      "check the name and the password");
  }

  /// A server's words, for a terminal.
  static std::string clean(std::string text) {
    const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
    std::ranges::replace_if(text, control, ' ');
    return text;
  }

  std::string user_;
  std::string host_;
  std::string password_;
  std::optional<SecretFile> file_;
  bool password_used_ = false;
  bool typed_ = false;
};

}  // namespace

bool is_openconnect_url(const std::string& profile) { return profile.starts_with(kScheme); }

base::Status fill_from_server(const RunArguments& arguments, netns::RunConfig& config) {
  WARREN_TRY_ASSIGN(const Server server, parse_url(arguments.profile));
  // Several runs through one server are usual, so their names differ.
  config.name = server.host.substr(0, kMaxHostInName) + "-" + std::to_string(getpid());
  std::ranges::replace(config.name, ':', '.');
  config.anyconnect = std::make_unique<netns::AnyConnectRun>();
  netns::AnyConnectRun& run = *config.anyconnect;
  WARREN_TRY_ASSIGN(run.program, netns::openconnect_program());
  WARREN_TRY_ASSIGN(run.start, start_message(arguments, server));
  run.split = arguments.routes == "server";
  run.own_names = !arguments.dns.empty();
  run.notice = [host = server.host](const std::string& text) {
    fmt::print(stderr, "warren: {}: {}\n", host, text);
  };
  const std::string& user = arguments.openconnect.user;
  Answers answers(user.empty() ? server.user : user, server.host);
  WARREN_TRY(answers.read_password(arguments.openconnect.password_file));
  WARREN_TRY(netns::log_in(
      run, [&](const netns::AnyConnectQuestion& question) { return answers.answer(question); }));
  config.tun_offloads = false;  // libopenconnect reads and writes single packets
  netns::apply_session(run, config);
  return {};
}

}  // namespace warren::app
