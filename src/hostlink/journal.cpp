// Theory of operation. The file is a header of three lines (version, boot, network namespace) and a
// line for each deed. A line is one write, so a process that is killed leaves whole lines, or a
// last one without its end, whose deed was not done. Nothing is synced: file and deeds die with the
// boot.
//
// A link is listed when it exists and before it is made to outlive its maker, with its index: an
// index is not used twice, so a link of the same name that somebody else made later is not touched.
#include "hostlink/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ranges>
#include <sstream>

#include "hostlink/limits.hpp"
#include "os/file.hpp"
#include "services/host_names.hpp"

namespace warren::hostlink {

namespace {

using base::ErrorKind;
using base::make_error;
using services::NameService;

constexpr std::string_view kVersion = "warren-up 1";
constexpr std::size_t kHeaderLines = 3;

std::string boot_id() {
  auto text = os::read_file("/proc/sys/kernel/random/boot_id", 64);
  if (!text) return "?";
  return text->substr(0, text->find('\n'));
}

std::string network_namespace() {
  struct stat here{};
  if (stat("/proc/thread-self/ns/net", &here) < 0) return "?";
  return std::to_string(here.st_dev) + ":" + std::to_string(here.st_ino);
}

/// Whole lines only.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t from = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', from)) {
    lines.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return lines;
}

std::string write_rule(const os::Rule& rule) {
  std::ostringstream out;
  out << "rule " << (rule.family == base::Family::V4 ? 4 : 6) << ' ' << rule.priority << ' '
      << rule.table << ' ' << rule.mark << ' ' << (rule.inverted ? 1 : 0) << ' '
      << rule.udp_source_port << ' ' << (rule.suppresses_default_route ? 1 : 0);
  return out.str();
}

std::optional<os::Rule> read_rule(std::istringstream& in) {
  os::Rule rule;
  int family = 0;
  in >> family >> rule.priority >> rule.table >> rule.mark >> rule.inverted >>
      rule.udp_source_port >> rule.suppresses_default_route;
  if (!in || (family != 4 && family != 6)) return std::nullopt;
  rule.family = family == 4 ? base::Family::V4 : base::Family::V6;
  return rule;
}

bool gone(const base::Error& error) {
  return error.os_errno == ENOENT || error.os_errno == ENODEV || error.os_errno == ESRCH ||
         error.os_errno == EAFNOSUPPORT || error.os_errno == EOPNOTSUPP;
}

/// False: there was nothing (of ours) any more.
base::Result<bool> undo_link(os::Rtnl& rtnl, const Deed& deed) {
  const auto link = rtnl.link(deed.name);
  if (!link && link.error().kind == ErrorKind::NotFound) return false;
  if (!link) return base::Error(link.error());
  if (link->index != deed.index) return false;
  WARREN_TRY(rtnl.delete_link(deed.name));
  return true;
}

base::Result<bool> undo_socket(const Deed& deed) {
  struct stat there{};
  if (lstat(deed.name.c_str(), &there) < 0 || !S_ISSOCK(there.st_mode)) return false;
  if (unlink(deed.name.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  return base::os_error("remove " + deed.name);
}

base::Result<bool> undo_names(NameService::Kind kind, const Deed& deed) {
  WARREN_TRY(services::clear_names({.kind = kind, .record = deed.name}, kProgramPatience));
  return true;
}

base::Result<bool> undo_one(os::Rtnl& rtnl, const Deed& deed) {
  switch (deed.kind) {
    case Deed::Kind::Socket:
      return undo_socket(deed);
    case Deed::Kind::Link:
      return undo_link(rtnl, deed);
    case Deed::Kind::Rule: {
      base::Status deleted = rtnl.delete_rule(deed.rule);
      if (deleted) return true;
      if (gone(deleted.error())) return false;
      return std::move(deleted).error();
    }
    case Deed::Kind::Resolved:
      return undo_names(NameService::Kind::Resolved, deed);
    case Deed::Kind::Resolvconf:
      return undo_names(NameService::Kind::Resolvconf, deed);
  }
  return false;
}

base::Error in_other_namespace(const std::string& path) {
  return make_error(ErrorKind::Conflict,
                    path + " lists what was done in another network namespace than this one",
                    "run the command in that namespace; when it is gone, remove the file");
}

/// The deeds that could not be undone, first done first, and why.
struct Rest {
  std::vector<std::string> lines;
  std::string why;
};

base::Result<Rest> undo_all(const std::vector<std::string>& lines,
                            const std::function<void(const Deed&)>& tell) {
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
  Rest rest;
  for (std::size_t at = lines.size(); at > kHeaderLines; --at) {
    const std::string& line = lines[at - 1];
    const auto deed = Deed::parse(line);
    const base::Result<bool> undone =
        deed ? undo_one(rtnl, *deed)
             : make_error(ErrorKind::Invalid, "`" + line + "` is not understood");
    if (undone && *undone && tell) tell(*deed);
    if (undone) continue;
    rest.lines.insert(rest.lines.begin(), line);
    rest.why += (rest.why.empty() ? "" : "; ") + undone.error().message;
  }
  return rest;
}

}  // namespace

std::string Deed::write() const {
  switch (kind) {
    case Kind::Socket:
      return "socket " + name;
    case Kind::Link:
      return "link " + name + " " + std::to_string(index);
    case Kind::Rule:
      return write_rule(rule);
    case Kind::Resolved:
      return "resolved " + name;
    case Kind::Resolvconf:
      return "resolvconf " + name;
  }
  return {};
}

std::string Deed::remedy() const {
  switch (kind) {
    case Kind::Socket:
      return "rm " + name;
    case Kind::Link:
      return "ip link del " + name;
    case Kind::Rule:
      return std::string("ip ") + (rule.family == base::Family::V4 ? "-4" : "-6") +
             " rule del priority " + std::to_string(rule.priority) + " table " +
             std::to_string(rule.table);
    case Kind::Resolved:
      return "resolvectl revert " + name;
    case Kind::Resolvconf:
      return "resolvconf -d " + name + " -f";
  }
  return {};
}

std::optional<Deed> Deed::parse(const std::string& line) {
  std::istringstream in(line);
  std::string word;
  Deed deed;
  in >> word;
  if (word == "rule") {
    deed.kind = Kind::Rule;
    const auto rule = read_rule(in);
    if (!rule) return std::nullopt;
    deed.rule = *rule;
    return deed;
  }
  in >> deed.name;
  if (word == "link") in >> deed.index;
  if (!in) return std::nullopt;
  if (word == "socket") {
    deed.kind = Kind::Socket;
  } else if (word == "link") {
    deed.kind = Kind::Link;
  } else if (word == "resolved") {
    deed.kind = Kind::Resolved;
  } else if (word == "resolvconf") {
    deed.kind = Kind::Resolvconf;
  } else {
    return std::nullopt;
  }
  return deed;
}

base::Result<Journal> Journal::create(const std::string& path) {
  os::Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
  if (!file) return base::os_error("create " + path);
  const std::string header =
      std::string(kVersion) + "\nboot " + boot_id() + "\nnetns " + network_namespace() + "\n";
  if (write(file.get(), header.data(), header.size()) != static_cast<ssize_t>(header.size())) {
    base::Error error = base::os_error("write " + path);
    unlink(path.c_str());
    return error;
  }
  return Journal(std::move(file));
}

base::Status Journal::add(const Deed& deed) {
  const std::string line = deed.write() + "\n";
  if (write(file_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) return {};
  return base::os_error("write down what is about to be done");
}

base::Status undo(const std::string& path, const std::function<void(const Deed&)>& tell) {
  auto text = os::read_file(path, kMaxJournal);
  if (!text) return std::move(text).error();
  const std::vector<std::string> lines = lines_of(*text);
  const bool whole = lines.size() >= kHeaderLines && lines[0] == kVersion;
  if (!whole && lines.size() >= kHeaderLines) {
    return make_error(ErrorKind::Invalid, path + " was written by another version of warren",
                      "take the network down with that version, or restart the host");
  }
  Rest rest;
  // A header that is not whole: nothing was done yet.
  if (whole && lines[1] == "boot " + boot_id()) {
    if (lines[2] != "netns " + network_namespace()) return in_other_namespace(path);
    WARREN_TRY_ASSIGN(rest, undo_all(lines, tell));
  }
  if (rest.lines.empty()) {
    if (unlink(path.c_str()) < 0 && errno != ENOENT) return base::os_error("remove " + path);
    return {};
  }
  std::string left;
  for (const std::string& line : lines | std::views::take(kHeaderLines)) left += line + "\n";
  for (const std::string& line : rest.lines) left += line + "\n";
  WARREN_TRY(os::write_file_atomically(path, left, 0600));
  return make_error(ErrorKind::Failed, "not everything could be undone: " + rest.why,
                    "`warren down` tries what is left again");
}

}  // namespace warren::hostlink
