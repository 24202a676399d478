// The log sink: libraries that run inside an edge (a daemon, an engine) get a `Log&` passed in and
// say one structured line per event. Keys and tokens never go in.
#pragma once

#include <string>
#include <string_view>

namespace warren::base {

enum class LogLevel { Debug, Info, Warning, Error };

class Log {
 public:
  virtual ~Log() = default;
  /// `module` is the folder's name ("engine"); `message` one line without a newline.
  virtual void write(LogLevel level, std::string_view module, std::string_view message) = 0;
};

/// Drops everything; for tests and for callers that do not care.
class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::string_view) override {}
};

[[nodiscard]] std::string_view to_string(LogLevel level);

}  // namespace warren::base
