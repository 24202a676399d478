#include "apps/warren/secret_prompt.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "os/fd.hpp"

namespace warren::app {

namespace {

constexpr std::size_t kMaxSecret = 4096;

/// Byte by byte: what follows the line is not ours. One that is longer than kMaxSecret has one byte
/// more, and is no secret.
std::optional<std::string> read_line(int descriptor) {
  std::string line;
  char c = 0;
  while (line.size() <= kMaxSecret) {
    const ssize_t got = read(descriptor, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (line.empty()) return std::nullopt;
      break;
    }
    if (c == '\n') break;
    line.push_back(c);
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

/// Hides what is typed while it lives. Signals that would end the process wait meanwhile: they are
/// seen by interrupted(), and come when the terminal is as it was.
class Hidden {
 public:
  explicit Hidden(int terminal) : terminal_(terminal) {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int signal : {SIGINT, SIGTERM, SIGQUIT, SIGHUP}) sigaddset(&ends, signal);
    sigprocmask(SIG_BLOCK, &ends, &mask_before_);
    signals_ = os::Fd(signalfd(-1, &ends, SFD_CLOEXEC));
    if (tcgetattr(terminal_, &before_) < 0) return;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    now.c_lflag |= ECHONL;
    changed_ = tcsetattr(terminal_, TCSAFLUSH, &now) == 0;
  }
  ~Hidden() {
    if (changed_) tcsetattr(terminal_, TCSAFLUSH, &before_);
    sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }
  /// Waits until something was typed; true when a signal came first.
  [[nodiscard]] bool interrupted() const {
    std::array<pollfd, 2> either = {{{.fd = terminal_, .events = POLLIN, .revents = 0},
                                     {.fd = signals_.get(), .events = POLLIN, .revents = 0}}};
    while (poll(either.data(), either.size(), -1) < 0 && errno == EINTR) {
    }
    return either[1].revents != 0;
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

 private:
  int terminal_;
  termios before_{};
  sigset_t mask_before_{};
  os::Fd signals_;
  bool changed_ = false;
};

}  // namespace

base::Result<SecretFile> SecretFile::open(const std::string& path) {
  SecretFile secrets;
  secrets.path_ = path == "-" ? "standard input" : path;
  if (path == "-") return secrets;
  secrets.file_ = os::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!secrets.file_) return base::os_error("read the password from " + path);
  struct stat there{};
  const bool plain = fstat(secrets.file_.get(), &there) == 0 && S_ISREG(there.st_mode);
  if (plain && (there.st_mode & 077) != 0) {
    fmt::print(stderr, "warren: warning: {} holds a password and others can read it\n", path);
    fmt::print(stderr, "  hint: chmod 600 {}\n", path);
  }
  return secrets;
}

base::Result<std::string> SecretFile::next() {
  ++lines_;
  auto line = read_line(file_ ? file_.get() : STDIN_FILENO);
  const bool fits = !line || line->size() <= kMaxSecret;
  if (line && !line->empty() && fits) return std::move(*line);
  const std::string which = lines_ == 1 ? "its first line" : "line " + std::to_string(lines_);
  const std::string why =
      fits ? " is empty" : " is longer than " + std::to_string(kMaxSecret) + " characters";
  return base::make_error(base::ErrorKind::Invalid,
                          "read the password from " + path_ + ": " + which + why,
                          "each password is a line of its own there");
}

std::optional<std::string> ask_on_terminal(const std::string& question, bool secret) {
  const os::Fd terminal(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal) return std::nullopt;
  const std::string prompt = question + (question.ends_with(' ') ? "" : " ");
  // Before the prompt: it discards what was typed so far.
  std::optional<Hidden> hidden;
  if (secret) hidden.emplace(terminal.get());
  if (write(terminal.get(), prompt.data(), prompt.size()) < 0) return std::nullopt;
  if (hidden && hidden->interrupted()) return std::nullopt;
  auto line = read_line(terminal.get());
  return line && line->size() <= kMaxSecret ? line : std::nullopt;
}

}  // namespace warren::app
