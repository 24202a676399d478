// The daemon's log: one line per event, to standard error, the journal or a file, per-module
// levels.
#pragma once

#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"
#include "gateway/settings.hpp"

namespace warren::gateway {

/// Lines look like "2026-01-31T12:00:00.123Z info gateway: message"; for the journal they start
/// with its priority instead ("<6>gateway: message"). Line breaks and control characters in a
/// message are shown escaped: nobody writes a line of their own by a name or an error text.
class DaemonLog final : public base::Log {
 public:
  /// Where lines go when no file is set.
  enum class Stream { Plain, Journal };
  /// Journal when standard error is the journal's ($JOURNAL_STREAM), else Plain.
  [[nodiscard]] static Stream standard_error();

  explicit DaemonLog(Stream stream = standard_error());
  ~DaemonLog() override;

  /// Takes new settings; when the file cannot be opened the former ones stay.
  [[nodiscard]] base::Status set(const LogSettings& settings);
  void write(base::LogLevel level, std::string_view module, std::string_view message) override;

  /// The line as written, without the time.
  [[nodiscard]] static std::string line(Stream stream, base::LogLevel level,
                                        std::string_view module, std::string_view message);

 private:
  struct Sink;
  Stream stream_;
  LogSettings settings_;
  std::unique_ptr<Sink> sink_;
};

}  // namespace warren::gateway
