// Log lines on standard error: "warren-engine: wg0: warning: text".
#pragma once

#include <string>

#include "base/log.hpp"

namespace warren::app {

class StderrLog final : public base::Log {
 public:
  /// Drops lines below `lowest`; with `silent` all of them.
  StderrLog(base::LogLevel lowest, bool silent) : lowest_(lowest), silent_(silent) {}
  /// From LOG_LEVEL: verbose (or debug), error (the default), silent.
  [[nodiscard]] static StderrLog from_environment();

  void set_interface(std::string name) { interface_ = std::move(name); }
  [[nodiscard]] bool is_verbose() const { return !silent_ && lowest_ == base::LogLevel::Debug; }
  void write(base::LogLevel level, std::string_view module, std::string_view message) override;

 private:
  base::LogLevel lowest_;
  bool silent_;
  std::string interface_;
};

}  // namespace warren::app
