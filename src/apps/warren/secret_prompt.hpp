// Secrets that people type or keep in files: never arguments.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"

namespace warren::app {

/// The first line of the file, or of standard input for "-". Warns about a file that others can
/// read.
[[nodiscard]] base::Result<std::string> read_secret_file(const std::string& path);

/// Asks on the terminal of this process, not showing what is typed when `secret`. nullopt: there is
/// no terminal, or the user ended the input.
[[nodiscard]] std::optional<std::string> ask_on_terminal(const std::string& question, bool secret);

}  // namespace warren::app
