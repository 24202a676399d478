#include "apps/warren-engine/stderr_log.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <tuple>

namespace warren::app {

StderrLog StderrLog::from_environment() {
  const char* value = std::getenv("LOG_LEVEL");
  const std::string_view level = value != nullptr ? value : "error";
  if (level == "verbose" || level == "debug") return {base::LogLevel::Debug, false};
  return {base::LogLevel::Error, level == "silent"};
}

void StderrLog::write(base::LogLevel level, std::string_view, std::string_view message) {
  if (silent_ || level < lowest_) return;
  std::string line = "warren-engine: ";
  if (!interface_.empty()) line.append(interface_).append(": ");
  line.append(base::to_string(level)).append(": ").append(message).append("\n");
  // One write per line, so that lines of several processes do not mix; a closed stderr is nobody's
  // loss.
  std::ignore = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace warren::app
