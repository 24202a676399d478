#include "apps/warren/secret_prompt.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "os/fd.hpp"

namespace warren::app {

namespace {

constexpr std::size_t kMaxSecret = 4096;

/// Byte by byte: what follows the line is not ours.
std::optional<std::string> read_line(int descriptor) {
  std::string line;
  char c = 0;
  while (line.size() < kMaxSecret) {
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

/// Hides what is typed while it lives.
class Hidden {
 public:
  explicit Hidden(int terminal) : terminal_(terminal) {
    if (tcgetattr(terminal_, &before_) < 0) return;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    now.c_lflag |= ECHONL;
    changed_ = tcsetattr(terminal_, TCSAFLUSH, &now) == 0;
  }
  ~Hidden() {
    if (changed_) tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

 private:
  int terminal_;
  termios before_{};
  bool changed_ = false;
};

}  // namespace

base::Result<std::string> read_secret_file(const std::string& path) {
  os::Fd file;
  if (path != "-") {
    file = os::Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return base::os_error("read the password from " + path);
    struct stat there{};
    if (fstat(file.get(), &there) == 0 && S_ISREG(there.st_mode) && (there.st_mode & 077) != 0) {
      fmt::print(stderr, "warren: warning: {} holds a password and others can read it\n", path);
      fmt::print(stderr, "  hint: chmod 600 {}\n", path);
    }
  }
  auto line = read_line(path == "-" ? STDIN_FILENO : file.get());
  if (line && !line->empty()) return std::move(*line);
  return base::make_error(base::ErrorKind::Invalid, "read the password from " +
                                                        (path == "-" ? "standard input" : path) +
                                                        ": its first line is empty");
}

std::optional<std::string> ask_on_terminal(const std::string& question, bool secret) {
  const os::Fd terminal(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal) return std::nullopt;
  const std::string prompt = question + (question.ends_with(' ') ? "" : " ");
  if (write(terminal.get(), prompt.data(), prompt.size()) < 0) return std::nullopt;
  if (!secret) return read_line(terminal.get());
  const Hidden hidden(terminal.get());
  return read_line(terminal.get());
}

}  // namespace warren::app
