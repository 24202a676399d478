// Secrets that people type or keep in files: never arguments.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::app {

/// The lines of a file of secrets, or of standard input for "-", of which no byte is read that was
/// not asked for.
class SecretFile {
 public:
  /// Warns about a file that others can read.
  [[nodiscard]] static base::Result<SecretFile> open(const std::string& path);
  /// The next line; Invalid when there is none, or it is empty, or too long for a secret.
  [[nodiscard]] base::Result<std::string> next();

 private:
  std::string path_;
  os::Fd file_;  ///< none: standard input
  unsigned lines_ = 0;
};

/// Asks on the terminal of this process, not showing what is typed when `secret`; a signal that
/// ends the process meanwhile finds the terminal as it was. nullopt: there is no terminal, or the
/// user ended the input.
[[nodiscard]] std::optional<std::string> ask_on_terminal(const std::string& question, bool secret);

}  // namespace warren::app
