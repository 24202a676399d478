// Theory of operation. systemd-resolved keeps name servers per link and is asked with its own
// command, resolvectl(1): what it keeps dies with the link. resolvconf(8) exists twice (Debian's
// and openresolv); both take a record on standard input. "-m 0 -x" is openresolv's for "before all
// others", which Debian's ignores: there a record that is called tun.* comes first, by its file
// interface-order. Without "-x" openresolv puts a metric behind records that have none; first are
// those of names that it takes for tunnels. Either may be a link to resolvectl: then resolved runs,
// and is asked directly.
#include "services/host_names.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "os/file.hpp"
#include "os/process.hpp"
#include "services/limits.hpp"

namespace warren::services {

namespace {

using base::ErrorKind;
using base::make_error;

constexpr const char* kResolved = "/run/systemd/resolve";
constexpr const char* kInterfaceOrder = "/etc/resolvconf/interface-order";
constexpr std::string_view kUsualPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:"
    "/bin";

std::string read_pipe(const os::Fd& pipe) {
  std::array<char, kMaxProgramOutput> room;
  const ssize_t got = read(pipe.get(), room.data(), room.size());
  std::string text(room.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

base::Result<os::Fd> input_file(const std::string& input) {
  WARREN_TRY_ASSIGN(os::Fd file,
                    os::memory_file("warren-input", std::max<std::size_t>(1, input.size())));
  WARREN_TRY_ASSIGN(const os::Mapping mapping, os::Mapping::create(file));
  std::memcpy(mapping.bytes().data(), input.data(), input.size());
  return file;
}

/// Runs a program to its end; its exit code other than 0 is an error with what it said.
base::Status run_program(const std::string& name, const std::vector<std::string>& arguments,
                         base::Duration at_most, const std::string& input = "\n") {
  const auto path = find_program(name);
  if (!path) return make_error(ErrorKind::NotFound, "the program " + name + " is not installed");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return base::os_error("create a pipe");
  const os::Fd from(ends[0]);
  os::Fd to(ends[1]);
  WARREN_TRY_ASSIGN(const os::Fd in, input_file(input));
  os::SpawnOptions options{.argv = {*path},
                           .environment = std::nullopt,
                           .descriptors = {{0, &in}, {1, &to}, {2, &to}},
                           .new_session = true,
                           .working_directory = "/"};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  WARREN_TRY_ASSIGN(const os::Child child, os::spawn(options));
  to.reset();
  WARREN_TRY_ASSIGN(const bool ended, os::wait_readable(child.pidfd, at_most));
  if (!ended) static_cast<void>(os::send_signal(child.pidfd, SIGKILL));
  WARREN_TRY_ASSIGN(const int code, os::wait_for(child));
  if (code == 0) return {};
  const std::string said = read_pipe(from);
  return make_error(ErrorKind::Failed, name +
                                           (ended ? " failed with code " + std::to_string(code)
                                                  : std::string(" did not end, and was killed")) +
                                           (said.empty() ? "" : ": " + said));
}

base::Status set_resolved(const std::string& link, const Names& names, base::Duration at_most) {
  std::vector<std::string> servers = {"dns", link};
  for (const base::IpAddress& server : names.servers) servers.push_back(server.to_string());
  std::vector<std::string> domains = {"domain", link};
  domains.insert(domains.end(), names.search.begin(), names.search.end());
  if (names.all_names) domains.emplace_back("~.");
  WARREN_TRY(run_program("resolvectl", servers, at_most));
  WARREN_TRY(run_program("resolvectl", domains, at_most));
  return run_program("resolvectl", {"default-route", link, names.all_names ? "true" : "false"},
                     at_most);
}

base::Status set_resolvconf(const std::string& record, const Names& names, base::Duration at_most) {
  std::string text;
  for (const base::IpAddress& server : names.servers) {
    text += "nameserver " + server.to_string() + "\n";
  }
  std::string search;
  for (const std::string& domain : names.search) search += " " + domain;
  if (!search.empty()) text += "search" + search + "\n";
  std::vector<std::string> options = {"-a", record};
  if (names.alone) options.insert(options.end(), {"-m", "0", "-x"});
  return run_program("resolvconf", options, at_most, text);
}

}  // namespace

std::optional<std::string> find_program(const std::string& name) {
  const char* set = std::getenv("PATH");
  const std::string path = (set != nullptr ? std::string(set) + ":" : "") + std::string(kUsualPath);
  for (std::size_t from = 0; from <= path.size();) {
    const std::size_t end = std::min(path.find(':', from), path.size());
    const std::string file = path.substr(from, end - from) + "/" + name;
    from = end + 1;
    if (file.starts_with('/') && access(file.c_str(), X_OK) == 0) return file;
  }
  return std::nullopt;
}

std::optional<NameService> find_name_service(const std::string& link) {
  if (access(kResolved, F_OK) == 0 && find_program("resolvectl")) {
    return NameService{.kind = NameService::Kind::Resolved, .record = link};
  }
  if (!find_program("resolvconf")) return std::nullopt;
  const bool ordered = access(kInterfaceOrder, F_OK) == 0;
  return NameService{.kind = NameService::Kind::Resolvconf,
                     .record = (ordered ? "tun." : "") + link};
}

base::Status set_names(const NameService& service, const Names& names, base::Duration at_most) {
  return service.kind == NameService::Kind::Resolved
             ? set_resolved(service.record, names, at_most)
             : set_resolvconf(service.record, names, at_most);
}

base::Status clear_names(const NameService& service, base::Duration at_most) {
  if (service.kind == NameService::Kind::Resolvconf) {
    base::Status deleted = run_program("resolvconf", {"-d", service.record, "-f"}, at_most);
    const bool gone = !deleted && deleted.error().kind == ErrorKind::NotFound;
    return gone ? base::Status{} : deleted;
  }
  // Where resolved or the link is gone, so is what it kept of it; and the link goes in any case.
  if (if_nametoindex(service.record.c_str()) == 0 || access(kResolved, F_OK) != 0) return {};
  std::ignore = run_program("resolvectl", {"revert", service.record}, at_most);
  return {};
}

}  // namespace warren::services
