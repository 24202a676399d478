#include "hostnet/records.hpp"

#include <nlohmann/json.hpp>

#include "os/file.hpp"

namespace warren::hostnet {

namespace {

using nlohmann::json;

constexpr int kVersion = 1;

json to_json(const std::map<std::string, RecordedSysctl>& sysctls,
             const std::set<std::string>& begun) {
  json settings = json::object();
  for (const auto& [key, record] : sysctls)
    settings[key] = {{"ours", record.ours}, {"before", record.before}, {"along", record.along}};
  return {{"version", kVersion}, {"namespaces", begun}, {"sysctls", settings}};
}

}  // namespace

base::Result<Records> Records::load(std::string path) {
  Records out(std::move(path));
  auto text = os::read_file(out.path_);
  if (!text && text.error().kind == base::ErrorKind::NotFound) return out;
  if (!text) return std::move(text).error();
  const auto malformed = [&](const std::string& why) {
    return base::make_error(base::ErrorKind::Invalid, "read " + out.path_ + ": " + why,
                            "it holds settings to restore; repair it, or move it away");
  };
  try {
    const json document = json::parse(*text);
    if (document.at("version") != kVersion) return malformed("written by another version");
    out.begun_ = document.at("namespaces").get<std::set<std::string>>();
    for (const auto& [key, value] : document.at("sysctls").items())
      out.sysctls_[key] = {.ours = value.at("ours"),
                           .before = value.at("before"),
                           .along = value.at("along").get<std::map<std::string, std::string>>()};
  } catch (const json::exception& failure) {
    return malformed(failure.what());
  }
  return out;
}

base::Status Records::save(const Records& next) {
  WARREN_TRY(
      os::write_file_atomically(path_, to_json(next.sysctls_, next.begun_).dump(2) + "\n", 0600));
  sysctls_ = next.sysctls_;
  begun_ = next.begun_;
  return {};
}

base::Status Records::put(const std::string& key, RecordedSysctl record) {
  Records next = *this;
  next.sysctls_[key] = std::move(record);
  return save(next);
}

base::Status Records::drop(const std::string& key) {
  if (!sysctls_.contains(key)) return {};
  Records next = *this;
  next.sysctls_.erase(key);
  return save(next);
}

base::Status Records::begin(const std::vector<std::string>& namespaces) {
  Records next = *this;
  next.begun_.insert(namespaces.begin(), namespaces.end());
  return save(next);
}

base::Status Records::finish(const std::vector<std::string>& namespaces) {
  Records next = *this;
  for (const std::string& netns : namespaces) next.begun_.erase(netns);
  if (next.begun_.size() == begun_.size()) return {};
  return save(next);
}

}  // namespace warren::hostnet
