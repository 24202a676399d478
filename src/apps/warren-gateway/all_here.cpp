// What `warren` asks of ../warren/other_programs.cpp, in the program that leaves nothing out.
#include "apps/warren/cli.hpp"

namespace warren::app {

std::string version_text() { return "warren " WARREN_VERSION; }

void enter_program() {}

std::optional<int> leave_to_gateway(Invocation&, std::span<const std::string>, char**) {
  return std::nullopt;
}

}  // namespace warren::app
