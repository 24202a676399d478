#include "client/profile.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <nlohmann/json.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include "client/certificate_files.hpp"
#include "client/limits.hpp"
#include "model/conf_key.hpp"
#include "os/file.hpp"
#include "os/name_service.hpp"

namespace warren::client {
namespace {

using nlohmann::json;

constexpr std::string_view kConfSuffix = ".conf";

base::Error bad_note(const std::string& why) {
  return base::make_error(base::ErrorKind::Invalid, why,
                          "remove the file, or join again with a new token");
}

base::Result<std::string> text_member(const json& document, const char* key) {
  const auto found = document.find(key);
  if (found == document.end() || !found->is_string()) {
    return bad_note(std::string("'") + key + "' is missing or not text");
  }
  return found->get<std::string>();
}

base::Status read_gateways(const json& document, std::vector<base::IpAddress>& out) {
  const auto found = document.find("gateways");
  if (found == document.end() || !found->is_array()) {
    return bad_note("'gateways' is missing or not a list");
  }
  for (const json& entry : *found) {
    const auto address =
        entry.is_string() ? base::IpAddress::parse(entry.get<std::string>()) : std::nullopt;
    if (!address) return bad_note("'gateways' holds something that is not an address");
    out.push_back(*address);
  }
  return {};
}

/// Those that may not be a service's are left out, whoever wrote them here.
base::Status read_environment(const json& document, std::vector<model::Variable>& out) {
  const auto found = document.find("environment");
  if (found == document.end()) return {};
  if (!found->is_object() || found->size() > model::kMaxVariables) {
    return bad_note("'environment' is no mapping of names to values");
  }
  for (const auto& [name, value] : found->items()) {
    if (!value.is_string()) return bad_note("'environment' holds something that is not text");
    auto text = value.get<std::string>();
    if (model::check_variable_name(name) && model::is_variable_value(text)) {
      out.push_back({name, std::move(text)});
    }
  }
  return {};
}

std::string home_directory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') return home;
  const std::string line = os::user_line(::geteuid()).value_or("");
  std::size_t field = 0;  // NAME:x:UID:GID:GECOS:HOME:SHELL
  for (int colons = 0; colons < 5; ++colons) {
    field = line.find(':', field);
    if (field == std::string::npos) return {};
    ++field;
  }
  return line.substr(field, line.find(':', field) - field);
}

bool exists(const std::string& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

std::string ProfileNote::write() const {
  nlohmann::ordered_json document = {{"schema", 1},
                                     {"network", network},
                                     {"peer", peer},
                                     {"gateways", json::array()},
                                     {"endpoint", endpoint},
                                     {"enrol_at", enrol_at},
                                     {"pin", base::to_hex(pin)}};
  if (!joined_with.empty()) document["joined_with"] = joined_with;
  if (!revision.empty()) document["revision"] = revision;
  for (const model::Variable& variable : environment) {
    document["environment"][variable.name] = variable.value;
  }
  for (const base::IpAddress& gateway : gateways) {
    document["gateways"].push_back(gateway.to_string());
  }
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

base::Result<ProfileNote> ProfileNote::parse(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return bad_note("not a JSON object");
  const auto schema = document.find("schema");
  if (schema == document.end() || *schema != 1) return bad_note("'schema' is not 1");
  ProfileNote note;
  WARREN_TRY_ASSIGN(note.network, text_member(document, "network"));
  WARREN_TRY_ASSIGN(note.peer, text_member(document, "peer"));
  WARREN_TRY(read_gateways(document, note.gateways));
  WARREN_TRY_ASSIGN(note.endpoint, text_member(document, "endpoint"));
  WARREN_TRY_ASSIGN(note.enrol_at, text_member(document, "enrol_at"));
  WARREN_TRY_ASSIGN(const std::string pin, text_member(document, "pin"));
  if (!base::parse_hex(pin, note.pin)) return bad_note("'pin' is not 64 hexadecimal digits");
  if (document.contains("joined_with")) {  // absent in notes of earlier versions
    WARREN_TRY_ASSIGN(note.joined_with, text_member(document, "joined_with"));
  }
  if (document.contains("revision")) {
    WARREN_TRY_ASSIGN(note.revision, text_member(document, "revision"));
  }
  WARREN_TRY(read_environment(document, note.environment));
  return note;
}

base::Result<std::string> profile_directory() {
  if (const char* set = std::getenv("XDG_CONFIG_HOME"); set != nullptr && *set == '/') {
    return std::string(set) + "/warren";
  }
  const std::string home = home_directory();
  if (home.empty()) {
    return base::make_error(base::ErrorKind::NotFound, "find the home directory: there is none",
                            "set HOME or XDG_CONFIG_HOME");
  }
  return home + "/.config/warren";
}

base::Status check_profile_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_=+.-").find(c) != std::string_view::npos;
  };
  if (name.empty() || name.size() > 15 || name.front() == '.' || name.front() == '-' ||
      !std::ranges::all_of(name, allowed)) {
    return base::make_error(base::ErrorKind::Invalid,
                            "'" + std::string(name) + "' cannot be the name of a profile",
                            "use 1 to 15 letters, digits or _=+.- (as wg-quick does), and start "
                            "with none of . and -");
  }
  return {};
}

ProfilePaths profile_paths(const std::string& directory, const std::string& name) {
  const std::string base = directory + "/" + name;
  return {.conf = base + std::string(kConfSuffix), .note = base + ".warren.json"};
}

base::Result<std::optional<ProfileNote>> read_note(const std::string& directory,
                                                   const std::string& name) {
  const std::string path = profile_paths(directory, name).note;
  const auto text = os::read_file(path, kMaxNoteBytes);
  if (!text) {
    if (text.error().kind == base::ErrorKind::NotFound) return std::optional<ProfileNote>();
    return base::Error(text.error());
  }
  WARREN_TRY_ASSIGN(ProfileNote note, ProfileNote::parse(*text).within(path));
  return std::optional<ProfileNote>(std::move(note));
}

base::Status write_profile(const std::string& directory, const std::string& name,
                           const model::WgConf& conf, const ProfileNote& note) {
  WARREN_TRY(check_profile_name(name));
  const ProfilePaths paths = profile_paths(directory, name);
  if (exists(paths.conf) || exists(paths.note)) {
    return base::make_error(base::ErrorKind::Conflict,
                            "a profile named '" + name + "' exists: " + paths.conf,
                            "choose another name: warren join --profile NAME, or remove it: "
                            "warren leave " +
                                name);
  }
  WARREN_TRY(os::make_directories(directory, 0700));
  WARREN_TRY(os::write_file_atomically(paths.note, note.write(), 0600));
  std::string text = conf.write();
  base::Status written = os::write_file_atomically(paths.conf, text, 0600);
  model::wipe_text(text);
  if (!written) ::unlink(paths.note.c_str());
  return written;
}

base::Result<std::vector<std::string>> remove_profile(const std::string& directory,
                                                      const std::string& name) {
  WARREN_TRY(check_profile_name(name));
  const ProfilePaths paths = profile_paths(directory, name);
  if (!exists(paths.note)) {
    return base::make_error(base::ErrorKind::NotFound,
                            exists(paths.conf)
                                ? paths.conf + " was not made by warren join, so it stays"
                                : "there is no profile '" + name + "' in " + directory,
                            "warren status lists the profiles");
  }
  // The note last: while it exists, `leave` can be repeated.
  std::vector<std::string> removed;
  if (::unlink(paths.conf.c_str()) == 0) {
    removed.push_back(paths.conf);
  } else if (errno != ENOENT) {
    return base::os_error("remove " + paths.conf);
  }
  const std::vector<std::string> certificate =
      remove_certificate(certificate_files(directory, name));
  if (::unlink(paths.note.c_str()) != 0) return base::os_error("remove " + paths.note);
  removed.push_back(paths.note);
  removed.insert(removed.end(), certificate.begin(), certificate.end());
  return removed;
}

base::Result<std::vector<std::string>> list_profiles(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  auto entry = std::filesystem::directory_iterator(directory, error);
  if (error == std::errc::no_such_file_or_directory) return names;
  if (error) return base::os_error("read " + directory, error.value());
  for (; entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (error) return base::os_error("read " + directory, error.value());
    const std::string file = entry->path().filename().string();
    if (!file.ends_with(kConfSuffix)) continue;
    std::string name = file.substr(0, file.size() - kConfSuffix.size());
    if (check_profile_name(name)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace warren::client
