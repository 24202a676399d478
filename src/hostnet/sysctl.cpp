// /proc/sys/net is resolved for the namespace of the thread that opens the file.
#include "hostnet/sysctl.hpp"

#include <filesystem>
#include <system_error>

#include "os/file.hpp"

namespace warren::hostnet {

namespace {

constexpr std::size_t kMaxValue = 4096;

std::string path_of(const std::string& key) { return "/proc/sys/" + key; }

}  // namespace

std::optional<std::string> read_sysctl(const std::string& key) {
  auto text = os::read_file(path_of(key), kMaxValue);
  if (!text) return std::nullopt;
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return std::move(*text);
}

base::Status write_sysctl(const std::string& key, const std::string& value) {
  return os::write_existing(path_of(key), value + "\n").within("set " + key + " to " + value);
}

std::vector<std::string> list_folder(const std::string& path) {
  std::vector<std::string> out;
  std::error_code failure;
  std::filesystem::directory_iterator at(path, failure);
  while (!failure && at != std::filesystem::directory_iterator()) {
    out.push_back(at->path().filename().string());
    at.increment(failure);
  }
  return out;
}

}  // namespace warren::hostnet
