// Records: what must survive a crash to put the host back as it was. Written before the change.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace warren::hostnet {

/// A setting of the host's that we changed.
struct RecordedSysctl {
  std::string ours;
  std::string before;
  /// Other settings that the kernel changed along with this one, with their old values.
  std::map<std::string, std::string> along;
};

/// A JSON file: {"version": 1, "namespaces": [...], "sysctls": {KEY: {"ours", "before", "along"}}}.
class Records {
 public:
  /// A missing file is an empty record; a malformed one is Invalid.
  [[nodiscard]] static base::Result<Records> load(std::string path);

  [[nodiscard]] const std::map<std::string, RecordedSysctl>& sysctls() const { return sysctls_; }
  /// True for a namespace whose creation was begun.
  [[nodiscard]] bool has_begun(const std::string& netns) const { return begun_.contains(netns); }

  /// Each of these returns after the file is on disk; after an error nothing has changed.
  [[nodiscard]] base::Status put(const std::string& key, RecordedSysctl record);
  [[nodiscard]] base::Status drop(const std::string& key);
  [[nodiscard]] base::Status begin(const std::vector<std::string>& namespaces);
  [[nodiscard]] base::Status finish(const std::vector<std::string>& namespaces);

 private:
  explicit Records(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] base::Status save(const Records& next);

  std::string path_;
  std::map<std::string, RecordedSysctl> sysctls_;
  std::set<std::string> begun_;
};

}  // namespace warren::hostnet
