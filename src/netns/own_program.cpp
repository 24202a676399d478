#include "netns/own_program.hpp"

#include <unistd.h>

#include <cstdlib>

#include "os/process.hpp"

namespace warren::netns {

base::Result<std::string> own_program(const char* variable, const std::string& name,
                                      const std::string& hint) {
  if (const char* named = std::getenv(variable); named != nullptr && *named != '\0') {
    return std::string(named);
  }
  WARREN_TRY_ASSIGN(const std::string directory, os::program_directory());
  const std::string path = directory + "/" + name;
  if (access(path.c_str(), X_OK) == 0) return path;
  return base::os_error("find " + path).with_hint(hint);
}

}  // namespace warren::netns
