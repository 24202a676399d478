// Theory of operation
//
// dnsmasq is told three things by files in a directory that only root and its own group can read:
// its configuration, which it reads once; the hosts, and whom it may ask, which it reads again on
// SIGHUP. A member that comes or goes is one new hosts file and one signal, whatever the number of
// members; only other addresses to listen on, or another record of a service, need a new process.
//
// hostsdir, which dnsmasq watches by itself, is not used: it takes an inotify instance each, of
// which a user has 128, and a gateway has up to a thousand networks.
//
// The record names the process by pid and start time. A successor of this program adopts what it
// names when the configuration on disk is the wanted one; hosts and forwarders on disk are what the
// server was told last, or what it is told now. What cannot be adopted is ended first: two servers
// cannot have one address.
#include "services/name_server.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <tuple>
#include <utility>

#include "base/bytes.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/log_file.hpp"
#include "os/netns.hpp"
#include "services/dnsmasq.hpp"
#include "services/host_domain.hpp"
#include "services/limits.hpp"
#include "services/name_probe.hpp"

namespace warren::services {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::string_view kInterfacePrefix = "wr";
constexpr std::size_t kIdDigits = 8;
constexpr mode_t kDirectoryMode = 0750;
constexpr mode_t kFileMode = 0644;  // below a directory that others cannot enter
constexpr std::size_t kRecordBytes = 100;
constexpr std::size_t kMessageBytes = 300;
constexpr std::size_t kAccountBytes = 16 << 10;
constexpr std::size_t kGroupMapBytes = 16 << 10;  // 340 lines at most

struct Account {
  std::string user;
  std::string group;
  gid_t gid = 0;
};

std::optional<Account> find_account(const char* name) {
  std::vector<char> buffer(kAccountBytes);
  passwd user{};
  passwd* user_found = nullptr;
  if (::getpwnam_r(name, &user, buffer.data(), buffer.size(), &user_found) != 0 ||
      user_found == nullptr || user.pw_uid == 0) {
    return std::nullopt;
  }
  Account out{.user = name, .group = {}, .gid = user.pw_gid};
  group entry{};
  group* group_found = nullptr;
  if (::getgrgid_r(out.gid, &entry, buffer.data(), buffer.size(), &group_found) != 0 ||
      group_found == nullptr || out.gid == 0) {
    return std::nullopt;
  }
  out.group = entry.gr_name;
  return out;
}

/// Whether a group of this number is known in the user namespace we are in.
bool is_mapped(gid_t gid) {
  std::istringstream map(os::read_file("/proc/self/gid_map", kGroupMapBytes).value_or(""));
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  while (map >> inside >> outside >> count)
    if (gid >= inside && gid - inside < count) return true;
  return false;
}

std::string find_program() {
  if (const char* chosen = std::getenv("WARREN_DNSMASQ"); chosen != nullptr && *chosen == '/') {
    return ::access(chosen, X_OK) == 0 ? chosen : "";
  }
  for (const char* path : {"/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq", "/usr/bin/dnsmasq"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return "";
}

/// For files that need not outlive the machine: never half written, never waited for.
base::Status write_file(const std::string& path, const std::string& text) {
  const std::string beside = path + ".new";
  std::error_code ignored;
  fs::remove(beside, ignored);
  const os::Fd file(
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
  if (!file || ::fchmod(file.get(), kFileMode) != 0) return base::os_error("write " + beside);
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t done = ::write(file.get(), text.data() + at, text.size() - at);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return base::os_error("write " + beside);
    at += static_cast<std::size_t>(done);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return base::os_error("rename " + beside);
  return {};
}

std::string content_of(const std::string& path) {
  auto text = os::read_file(path, kNameFileBytes);
  return text ? std::move(*text) : std::string();
}

/// "PID START-TIME"; nullopt: there is no such process.
std::optional<os::Child> recorded_process(const std::string& path) {
  const auto text = os::read_file(path, kRecordBytes);
  if (!text) return std::nullopt;
  const std::size_t blank = text->find(' ');
  if (blank == std::string::npos) return std::nullopt;
  const auto pid = base::parse_number(text->substr(0, blank), 2, 1U << 22);
  const std::string rest = text->substr(blank + 1, text->find('\n') - blank - 1);
  const auto since = base::parse_number(rest, 0, UINT64_MAX);
  if (!pid || !since) return std::nullopt;
  auto process = os::open_pidfd(static_cast<pid_t>(*pid), *since);
  if (!process) return std::nullopt;
  return os::Child{
      .pid = static_cast<pid_t>(*pid), .pidfd = std::move(*process), .start_time = *since};
}

/// Asks it to end, and ends it when it does not.
base::Status end(const os::Child& process) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    if (auto sent = os::send_signal(process.pidfd, signal);
        !sent && sent.error().os_errno != ESRCH) {
      return sent;
    }
    WARREN_TRY_ASSIGN(const bool gone, os::wait_readable(process.pidfd, kNameServerStop));
    if (gone) return {};
  }
  return make_error(ErrorKind::Failed,
                    "name server process " + std::to_string(process.pid) + " does not end");
}

void remove_directory(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

}  // namespace

base::Result<NameServerProgram> find_name_server_program() {
  NameServerProgram out;
  out.path = find_program();
  if (out.path.empty()) {
    return make_error(ErrorKind::NotFound, "names need dnsmasq, which is not installed",
                      "install it (apt-get install dnsmasq-base), or name it in WARREN_DNSMASQ");
  }
  for (const char* name : {"dnsmasq", "nobody"}) {
    const auto account = find_account(name);
    if (!account) continue;
    out.user = account->user;
    out.group = account->group;
    out.gid = account->gid;
    out.stays = !is_mapped(out.gid);
    return out;
  }
  return make_error(ErrorKind::NotFound, "there is no account to run dnsmasq as",
                    "make one: useradd --system dnsmasq");
}

std::string name_server_directory(const std::string& run_dir) { return run_dir + "/names"; }

NameServerFiles NameServerFiles::of(const std::string& run_dir, model::NetworkId id) {
  const std::string directory = name_server_directory(run_dir) + "/" + id.interface_name();
  return {.directory = directory,
          .configuration = directory + "/dnsmasq.conf",
          .hosts = directory + "/hosts",
          .servers = directory + "/servers",
          .resolv_conf = directory + "/resolv.conf",
          .record = directory + "/process",
          .log = directory + "/log",
          .host_domain = directory + "/host"};
}

std::vector<model::NetworkId> recorded_name_servers(const std::string& run_dir) {
  std::vector<model::NetworkId> out;
  std::error_code error;
  for (fs::directory_iterator at(name_server_directory(run_dir), error), past; !error && at != past;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::array<std::uint8_t, kIdDigits / 2> raw{};
    if (!name.starts_with(kInterfacePrefix) ||
        !base::parse_hex(name.substr(kInterfacePrefix.size()), raw)) {
      continue;
    }
    out.push_back({base::ByteReader(raw).u32_be()});
  }
  std::ranges::sort(out);
  return out;
}

base::Result<bool> end_recorded_name_server(const std::string& run_dir, model::NetworkId id) {
  const NameServerFiles files = NameServerFiles::of(run_dir, id);
  const auto process = recorded_process(files.record);
  if (process) WARREN_TRY(end(*process).within("end the name server of " + id.interface_name()));
  WARREN_TRY(untell_host(files.host_domain));
  remove_directory(files.directory);
  return process.has_value();
}

NameServer::NameServer(NameServerProgram program, const std::string& run_dir, model::NetworkId id,
                       std::string network)
    : program_(std::move(program)),
      files_(NameServerFiles::of(run_dir, id)),
      network_(std::move(network)) {}

NameServer::Told NameServer::told_by(const model::NameZone& zone, const AskedServers& asked) const {
  Told out;
  out.configuration = dnsmasq_configuration(zone, {.hosts = files_.hosts,
                                                   .servers = files_.servers,
                                                   .user = program_.user,
                                                   .group = program_.group});
  out.hosts = dnsmasq_hosts(zone);
  out.servers = dnsmasq_servers(asked);
  out.resolv_conf = "search " + zone.domain + "\n";
  for (const base::IpAddress& address : zone.listen) {
    out.resolv_conf += "nameserver " + address.to_string() + "\n";
  }
  return out;
}

base::Status NameServer::prepare_directory() const {
  WARREN_TRY(os::make_directories(fs::path(files_.directory).parent_path().string(), 0755));
  WARREN_TRY(os::make_directories(files_.directory, kDirectoryMode));
  if (!program_.stays && ::chown(files_.directory.c_str(), 0, program_.gid) != 0) {
    return base::os_error("give " + files_.directory + " to the group of " + program_.user);
  }
  return {};
}

base::Status NameServer::write_changed(const Told& next) {
  const auto write = [](const std::string& path, const std::string& text,
                        std::string& told) -> base::Status {
    if (told == text && ::access(path.c_str(), F_OK) == 0) return {};
    WARREN_TRY(write_file(path, text));
    told = text;
    return {};
  };
  WARREN_TRY(write(files_.configuration, next.configuration, told_.configuration));
  WARREN_TRY(write(files_.hosts, next.hosts, told_.hosts));
  WARREN_TRY(write(files_.servers, next.servers, told_.servers));
  return write(files_.resolv_conf, next.resolv_conf, told_.resolv_conf);
}

bool NameServer::adopt(const std::string& configuration) {
  // Also where nothing runs: what is on disk may be of another time.
  told_ = {.configuration = content_of(files_.configuration),
           .hosts = content_of(files_.hosts),
           .servers = content_of(files_.servers),
           .resolv_conf = content_of(files_.resolv_conf)};
  auto process = recorded_process(files_.record);
  if (!process) return false;
  process_ = std::move(*process);
  ours_ = false;
  return told_.configuration == configuration;
}

base::Result<bool> NameServer::serve(const model::NameZone& zone, const AskedServers& asked) {
  const Told next = told_by(zone, asked);
  listen_ = zone.listen;
  domain_ = zone.domain;
  WARREN_TRY(prepare_directory());
  bool is_another = false;
  // A record that this object did not write: of the server that a former program left.
  if (!looked_for_one_ && adopt(next.configuration)) {
    is_another = true;
    // It may have been left behind in a namespace that was made anew.
    if (!answers()) WARREN_TRY(end_process());
  }
  looked_for_one_ = true;
  if (process_.pidfd && told_.configuration != next.configuration) WARREN_TRY(end_process());
  // Until it was told: a file may be written, and the next one not.
  reads_again_ = reads_again_ || told_.hosts != next.hosts || told_.servers != next.servers;
  WARREN_TRY(write_changed(next));
  if (!process_.pidfd) {
    WARREN_TRY(spawn());
    reads_again_ = false;
    return true;
  }
  // One that was adopted: the last program may have ended between file and signal.
  if (reads_again_ || is_another) WARREN_TRY(tell_to_read());
  return is_another;
}

base::Status NameServer::tell_to_read() {
  auto sent = os::send_signal(process_.pidfd, SIGHUP);
  if (!sent && sent.error().os_errno != ESRCH) return sent;
  reads_again_ = false;
  return {};
}

base::Status NameServer::spawn() {
  WARREN_TRY_ASSIGN(const os::Fd netns, os::open_named_netns("warren-" + network_));
  WARREN_TRY_ASSIGN(const os::Fd log, os::open_log_file(files_.log, kNameServerLogBytes));
  WARREN_TRY(os::in_netns(netns, [&]() -> base::Status {
    WARREN_TRY_ASSIGN(
        process_,
        // With --no-daemon it does not become another user, either.
        os::spawn({.argv = {program_.path, program_.stays ? "--no-daemon" : "--keep-in-foreground",
                            "--conf-file=" + files_.configuration},
                   .environment = std::vector<std::string>{"LC_ALL=C.UTF-8"},
                   .descriptors = {{1, &log}, {2, &log}},
                   .new_session = true,
                   .working_directory = "/"}));
    return {};
  }));
  ours_ = true;
  const std::string record =
      std::to_string(process_.pid) + " " + std::to_string(process_.start_time) + "\n";
  if (auto noted = write_file(files_.record, record); !noted) {
    if (auto ended = end_process(); !ended) return ended;
    return noted;
  }
  return {};
}

base::Status NameServer::end_process() {
  if (!process_.pidfd) return {};
  WARREN_TRY(end(process_));
  std::ignore = reap();
  return {};
}

std::string NameServer::reap() {
  std::string how = "ended";
  if (ours_) {
    if (const auto code = os::try_wait(process_); code && *code >= 0) {
      how += *code > 128 ? " by signal " + std::to_string(*code - 128)
                         : " with code " + std::to_string(*code);
    }
  }
  process_ = {};
  ours_ = false;
  return how;
}

base::Status NameServer::answers() const {
  WARREN_TRY_ASSIGN(const os::Fd netns, os::open_named_netns("warren-" + network_));
  const std::string name = std::string(model::kGatewayName) + "." + domain_;
  for (const base::IpAddress& address : listen_) {
    WARREN_TRY_ASSIGN(const auto found, ask_name(netns, address, name, kNameAnswer));
    if (std::ranges::find(found, address) != found.end()) continue;
    // What it cannot read is told in its log: a directory above that its user may not enter.
    return make_error(ErrorKind::Failed,
                      "the name server does not know " + address.to_string() + " as " + name);
  }
  return {};
}

base::Status NameServer::wait_until_it_answers() const {
  const base::Instant deadline = os::now() + kNameServerStart;
  base::Status answered;
  do {
    WARREN_TRY_ASSIGN(const bool ended, os::wait_readable(process_.pidfd, kNameServerPause));
    if (ended) {
      answered = make_error(ErrorKind::Failed, "dnsmasq ended at once");
      break;
    }
    answered = answers();
    if (answered) return {};
  } while (os::now() < deadline);
  const std::string said = last_message();
  return std::move(answered).error().with_hint(said.empty() ? "its messages are in " + files_.log
                                                            : "it said: " + said);
}

std::string NameServer::last_message() const {
  const std::string log = content_of(files_.log);
  const std::size_t last = log.find_last_not_of('\n');
  if (last == std::string::npos) return {};
  const std::size_t begin = log.rfind('\n', last) + 1;  // none: 0
  std::string said = log.substr(begin, std::min(last - begin + 1, kMessageBytes));
  // It may repeat what a member asked for.
  std::ranges::replace_if(
      said, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return said;
}

std::vector<std::string> NameServer::differences() const {
  std::vector<std::string> out;
  for (const auto& [path, text] : {std::pair{&files_.configuration, &told_.configuration},
                                   {&files_.hosts, &told_.hosts},
                                   {&files_.servers, &told_.servers}}) {
    if (content_of(*path) != *text) out.push_back("different: " + *path);
  }
  if (!process_.pidfd) {
    out.emplace_back("missing: the name server");
    return out;
  }
  if (const auto right = answers(); !right) out.push_back(right.error().message);
  return out;
}

base::Status NameServer::stop() {
  WARREN_TRY(end_process());
  WARREN_TRY(untell_host(files_.host_domain));
  remove_directory(files_.directory);
  return {};
}

}  // namespace warren::services
