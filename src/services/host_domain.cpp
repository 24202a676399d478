// Theory of operation
//
// The record is written before somebody is told, and names whom: so whoever comes next (a daemon
// that starts, `warren cleanup`) can undo it, also after a kill in between. Its first line is the
// keeper and what it calls ours, the others are what it was told; the link counts with its index,
// for a link that was made anew is not known to systemd-resolved.
//
// systemd-resolved asks the network's server for names of its domain and nothing else. resolvconf
// knows no such thing: there the server is the first that is asked for every name, the host's own
// come after it, and only one address of it is given, for the C library reads three in all.
#include "services/host_domain.hpp"

#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <tuple>
#include <utility>

#include "os/file.hpp"
#include "services/limits.hpp"

namespace warren::services {

using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::string_view kResolved = "resolved ";
constexpr std::string_view kResolvconf = "resolvconf ";
constexpr std::size_t kRecordBytes = 4096;
constexpr mode_t kRecordMode = 0640;

std::string record_of(const NameService& service, const HostDomain& wanted) {
  const bool resolved = service.kind == NameService::Kind::Resolved;
  std::string out(resolved ? kResolved : kResolvconf);
  out += service.record + "\nlink " + wanted.link + " " +
         std::to_string(::if_nametoindex(wanted.link.c_str())) + "\ndomain " + wanted.domain + "\n";
  for (const base::IpAddress& server : wanted.servers) out += "server " + server.to_string() + "\n";
  return out;
}

/// nullopt: nothing that could be undone was ever written there.
std::optional<NameService> keeper_in(const std::string& record) {
  const std::string line = record.substr(0, record.find('\n'));
  for (const auto& [word, kind] : {std::pair{kResolved, NameService::Kind::Resolved},
                                   {kResolvconf, NameService::Kind::Resolvconf}}) {
    if (line.starts_with(word) && line.size() > word.size()) {
      return NameService{.kind = kind, .record = line.substr(word.size())};
    }
  }
  return std::nullopt;
}

Names names_of(const NameService& service, const HostDomain& wanted) {
  Names out{.servers = wanted.servers, .search = {}, .all_names = false, .alone = false};
  if (service.kind == NameService::Kind::Resolved) {
    out.search = {"~" + wanted.domain};  // asked there, and not added to names without a dot
  } else if (!out.servers.empty()) {
    out.servers.resize(1);
  }
  return out;
}

}  // namespace

base::Result<NameService::Kind> tell_host(const std::string& record, const HostDomain& wanted) {
  auto service = find_name_service(wanted.link);
  if (!service) {
    WARREN_TRY(untell_host(record));
    return make_error(ErrorKind::NotFound,
                      "this host has neither systemd-resolved nor resolvconf, and its "
                      "/etc/resolv.conf is not warren's to write");
  }
  if (service->kind == NameService::Kind::Resolvconf) service->record = kTunnelRecord + wanted.link;
  const std::string text = record_of(*service, wanted);
  const auto told = os::read_file(record, kRecordBytes);
  if (told && *told == text) return service->kind;
  WARREN_TRY(untell_host(record));
  WARREN_TRY(os::write_file_atomically(record, text, kRecordMode));
  if (base::Status set = set_names(*service, names_of(*service, wanted), kHostNamesPatience);
      !set) {
    std::ignore = untell_host(record);
    return std::move(set).error();
  }
  return service->kind;
}

base::Status untell_host(const std::string& record) {
  const auto told = os::read_file(record, kRecordBytes);
  if (!told) return told.error().kind == ErrorKind::NotFound ? base::Status() : told.error();
  if (const auto keeper = keeper_in(*told)) {
    WARREN_TRY(clear_names(*keeper, kHostNamesPatience).within("untell the host's resolver"));
  }
  if (::unlink(record.c_str()) != 0 && errno != ENOENT) return base::os_error("remove " + record);
  return {};
}

}  // namespace warren::services
