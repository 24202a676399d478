// Theory of operation
//
// A section is a table of key -> reader. Walking a YAML map looks every key up in its table, so an
// unknown key, a repeated key and a value of the wrong type are each found at their own line. Every
// reader checks its value alone; check_settings() compares values once all files are read.
#include "gateway/settings.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>

#include <yaml-cpp/yaml.h>

#include "base/bytes.hpp"
#include "base/duration_text.hpp"
#include "base/edit_distance.hpp"
#include "gateway/limits.hpp"
#include "os/file.hpp"

namespace warren::gateway {

using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::array<std::string_view, 6> kLogModules = {"gateway", "control", "server",
                                                         "hostnet", "store",   "pki"};

/// " (did you mean 'x'?)" or, when nothing is near, the list of what is known.
template <typename Names>
std::string suggestion(std::string_view unknown, const Names& known) {
  constexpr std::size_t kNear = 3;
  std::string nearest;
  std::string all;
  std::size_t best = kNear + 1;
  for (const std::string_view name : known) {
    all += (all.empty() ? "" : ", ") + std::string(name);
    const std::size_t distance = base::edit_distance(unknown, name);
    if (distance < best && distance < std::max(name.size(), unknown.size())) {
      best = distance;
      nearest = name;
    }
  }
  return nearest.empty() ? " (known: " + all + ")" : " (did you mean '" + nearest + "'?)";
}

class Reader {
 public:
  Reader(std::string file, std::vector<SettingsProblem>& problems)
      : file_(std::move(file)), problems_(problems) {}

  using Keys = std::vector<std::pair<std::string_view, std::function<void(const YAML::Node&)>>>;

  void problem(const YAML::Mark& mark, std::string message) {
    problems_.push_back({file_, mark.is_null() ? 0 : mark.line + 1,
                         mark.is_null() ? 0 : mark.column + 1, std::move(message)});
  }

  void map(const YAML::Node& node, const std::string& what, const Keys& keys) {
    if (node.IsNull()) return;  // a section without content
    if (!node.IsMap()) return problem(node.Mark(), what + " must be a mapping of keys to values");
    std::vector<std::string_view> names;
    for (const auto& [name, read] : keys) names.push_back(name);
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        problem(entry.first.Mark(), "a key must be a word");
        continue;
      }
      const std::string& key = entry.first.Scalar();
      const auto known = std::ranges::find(names, key);
      if (known == names.end())
        unknown_key(entry.first, what, names);
      else if (!seen.insert(key).second)
        problem(entry.first.Mark(), "key '" + key + "' is given twice");
      else
        keys[static_cast<std::size_t>(known - names.begin())].second(entry.second);
    }
  }

  void unknown_key(const YAML::Node& key, const std::string& what,
                   const std::vector<std::string_view>& known) {
    std::string message = "unknown key '";
    message.append(key.Scalar()).append("' in ").append(what);
    problem(key.Mark(), message.append(suggestion(key.Scalar(), known)));
  }

  /// Calls `take` with the text of a scalar; it answers what is wrong, empty when nothing is.
  std::function<void(const YAML::Node&)> text(std::string_view name,
                                              std::function<std::string(const std::string&)> take) {
    return [this, name = std::string(name), take = std::move(take)](const YAML::Node& node) {
      if (!node.IsScalar()) return problem(node.Mark(), "'" + name + "' must be one value");
      if (const std::string wrong = take(node.Scalar()); !wrong.empty())
        problem(node.Mark(), "'" + name + "': " + wrong);
    };
  }

  void modules(const YAML::Node& node, std::map<std::string, base::LogLevel>& into) {
    Keys keys;
    for (const std::string_view module : kLogModules)
      keys.emplace_back(module, text(module, [&into, module](const std::string& value) {
                          const auto level = parse_log_level(value);
                          if (!level) return bad_level(value);
                          into[std::string(module)] = *level;
                          return std::string();
                        }));
    map(node, "log.modules", keys);
  }

  static std::string bad_level(const std::string& value) {
    static constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warning",
                                                                "error"};
    return "'" + value + "' is no log level" + suggestion(value, kLevels);
  }

 private:
  std::string file_;
  std::vector<SettingsProblem>& problems_;
};

std::string take_host(const std::string& value, std::string& into) {
  const bool colon = value.find(':') != std::string::npos;
  const bool address = base::IpAddress::parse(value).has_value();
  const bool word = !value.empty() && value.find_first_of(" \t/[]") == std::string::npos;
  if (!address && (!word || colon))
    return "'" + value + "' is not a host name or an address (without a port)";
  into = value;
  return {};
}

std::string take_host_port(const std::string& value, std::string& into) {
  constexpr std::size_t kLongestHost = 253;
  const auto split = base::HostPort::parse(value);
  if (!split || split->host.size() > kLongestHost)
    return "'" + value.substr(0, kLongestHost) +
           "' is not HOST:PORT (IPv6 in brackets: [2001:db8::1]:51800)";
  into = value;
  return {};
}

std::string take_listen(const std::string& value, std::string& into) {
  const auto split = base::HostPort::parse(value);
  if (!split || !base::IpAddress::parse(split->host))
    return "'" + value + "' is not ADDRESS:PORT (for every address: [::]:51800)";
  into = value;
  return {};
}

std::string take_port(const std::string& value, std::uint16_t& into) {
  const auto port = base::parse_number(value, 1, std::numeric_limits<std::uint16_t>::max());
  if (!port) return "'" + value + "' is not a port (1 to 65535)";
  into = static_cast<std::uint16_t>(*port);
  return {};
}

std::string take_pool(const std::string& value, base::Family family, std::uint8_t longest,
                      base::Prefix& into) {
  const bool v4 = family == base::Family::V4;
  const auto prefix = base::Prefix::parse(value);
  if (!prefix || prefix->address.family() != family || !prefix->is_network())
    return "'" + value + "' is not an " + (v4 ? "IPv4" : "IPv6") + " prefix such as " +
           (v4 ? "100.126.0.0/16" : "fd77:6172:7265:6e00::/64");
  if (prefix->length > longest)
    return "'" + value + "' is too small: it must hold many pairs (at most /" +
           std::to_string(longest) + ")";
  into = *prefix;
  return {};
}

std::string take_span(const std::string& value, std::uint32_t& into) {
  const auto span = value == "forever" ? std::optional(0U) : base::parse_duration_s(value);
  if (!span) return "'" + value + "' is no time span: write it as 400d, 24h or forever";
  into = *span;
  return {};
}

Reader::Keys log_keys(Reader& reader, LogSettings& log) {
  return {{"level", reader.text("level",
                                [&log](const std::string& value) {
                                  const auto level = parse_log_level(value);
                                  if (!level) return Reader::bad_level(value);
                                  log.level = *level;
                                  return std::string();
                                })},
          {"modules", [&](const YAML::Node& node) { reader.modules(node, log.modules); }},
          {"file", reader.text("file", [&log](const std::string& value) {
             if (!value.empty() && value[0] != '/')
               return "'" + value + "' must be an absolute path";
             log.file = value;
             return std::string();
           })}};
}

void read_document(Reader& reader, const YAML::Node& document, Settings& into) {
  const auto host = [&](std::string_view name, std::string& field) {
    return reader.text(name, [&field](const std::string& v) { return take_host(v, field); });
  };
  const auto port = [&](std::string_view name, std::uint16_t& field) {
    return reader.text(name, [&field](const std::string& v) { return take_port(v, field); });
  };
  const Reader::Keys enrol = {{"listen", reader.text("listen",
                                                     [&](const std::string& v) {
                                                       return take_listen(v, into.enrol_listen);
                                                     })},
                              {"endpoint", reader.text("endpoint", [&](const std::string& v) {
                                 return take_host_port(v, into.enrol_endpoint);
                               })}};
  const Reader::Keys admin = {{"listen", reader.text("listen",
                                                     [&](const std::string& v) {
                                                       return take_listen(v, into.admin_listen);
                                                     })},
                              {"endpoint", reader.text("endpoint", [&](const std::string& v) {
                                 return take_host_port(v, into.admin_endpoint);
                               })}};
  const Reader::Keys ports = {{"first", port("first", into.first_port)},
                              {"last", port("last", into.last_port)}};
  constexpr std::uint8_t kLongest4 = 28;
  constexpr std::uint8_t kLongest6 = 120;
  const Reader::Keys transit = {
      {"v4", reader.text("v4",
                         [&](const std::string& v) {
                           return take_pool(v, base::Family::V4, kLongest4, into.transit.v4);
                         })},
      {"v6", reader.text("v6", [&](const std::string& v) {
         return take_pool(v, base::Family::V6, kLongest6, into.transit.v6);
       })}};
  const Reader::Keys log = log_keys(reader, into.log);
  const Reader::Keys audit = {{"keep", reader.text("keep", [&](const std::string& v) {
                                 return take_span(v, into.audit_keep_s);
                               })}};
  const auto section = [&reader](const char* name, const Reader::Keys& keys) {
    return [&reader, name, &keys](const YAML::Node& node) { reader.map(node, name, keys); };
  };
  reader.map(document, "the settings",
             {{"endpoint", host("endpoint", into.endpoint)},
              {"enrol", section("enrol", enrol)},
              {"admin", section("admin", admin)},
              {"ports", section("ports", ports)},
              {"transit", section("transit", transit)},
              {"log", section("log", log)},
              {"audit", section("audit", audit)}});
}

void read_one(const std::string& file, LoadedSettings& out) {
  auto text = os::read_file(file, kSettingsBytes);
  if (!text) {
    out.problems.push_back({file, 0, 0, text.error().message});
    return;
  }
  out.files.push_back(file);
  parse_settings(file, *text, out.settings, out.problems);
}

}  // namespace

plan::TransitPool Settings::default_transit() {
  return {.v4 = *base::Prefix::parse("100.126.0.0/16"),
          .v6 = *base::Prefix::parse("fd77:6172:7265:6e00::/64")};
}

std::string SettingsProblem::to_string() const {
  if (line == 0) return file + ": " + message;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + message;
}

std::string wrong_endpoint(const std::string& value) {
  std::string host;
  return take_host(value, host);
}

std::string wrong_listen(const std::string& value) {
  std::string at;
  return take_listen(value, at);
}

std::optional<base::LogLevel> parse_log_level(std::string_view text) {
  for (const base::LogLevel level : {base::LogLevel::Debug, base::LogLevel::Info,
                                     base::LogLevel::Warning, base::LogLevel::Error})
    if (text == base::to_string(level)) return level;
  return std::nullopt;
}

void parse_settings(const std::string& file, const std::string& text, Settings& into,
                    std::vector<SettingsProblem>& problems) {
  Reader reader(file, problems);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1)
      return reader.problem(documents[1].Mark(), "a settings file is one document");
    if (!documents.empty()) read_document(reader, documents.front(), into);
  } catch (const YAML::Exception& error) {
    reader.problem(error.mark, "not valid YAML: " + error.msg);
  }
}

void check_settings(const std::string& file, const Settings& settings,
                    std::vector<SettingsProblem>& problems) {
  if (settings.first_port > settings.last_port)
    problems.push_back({file, 0, 0,
                        "'ports': first (" + std::to_string(settings.first_port) +
                            ") is above last (" + std::to_string(settings.last_port) + ")"});
}

LoadedSettings read_settings(const std::string& file) {
  namespace fs = std::filesystem;
  LoadedSettings out;
  std::error_code error;
  if (fs::exists(file, error) || file != kDefaultSettingsFile) read_one(file, out);
  std::vector<std::string> drop_ins;
  const fs::path folder = fs::path(file).parent_path() / "conf.d";
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (at->path().extension() == ".yaml") drop_ins.push_back(at->path().string());
  std::ranges::sort(drop_ins);
  for (const std::string& drop_in : drop_ins) read_one(drop_in, out);
  check_settings(file, out.settings, out.problems);
  return out;
}

base::Result<Settings> load_settings(const std::string& file) {
  LoadedSettings loaded = read_settings(file);
  if (loaded.problems.empty()) return std::move(loaded.settings);
  std::string lines;
  for (const SettingsProblem& problem : loaded.problems)
    lines += (lines.empty() ? "" : "\n") + problem.to_string();
  return make_error(ErrorKind::Invalid, lines, "`warren config check` reads them without effect");
}

}  // namespace warren::gateway
