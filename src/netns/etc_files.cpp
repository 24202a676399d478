#include "netns/etc_files.hpp"

#include <unistd.h>

#include <array>

#include "netns/limits.hpp"
#include "os/file.hpp"
#include "os/name_service.hpp"

// Theory of operation. Every way of the C library to a name is one of nsswitch.conf; the run's has
// only files and the name servers of resolv.conf. Users and groups come from files too: the
// daemons behind other sources (sssd, nslcd, nscd) would also look up hosts, so a run reaches none
// of them. A caller who is known only there gets a line of his own, so that `whoami`, ssh and
// whatever asks for the home directory work.

namespace warren::netns {

namespace {

std::string hosts(const RunConfig& config) {
  std::array<char, 256> name{};
  const bool named = gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0';
  std::string text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  if (!named || std::string_view(name.data()) == "localhost") return text;
  const std::string address =
      config.addresses.empty() ? "127.0.1.1" : config.addresses[0].address.to_string();
  return text + address + " " + name.data() + "\n";
}

/// Whether a line of a passwd or group file has this number as its third field.
bool has_id(const std::string& text, unsigned id) {
  const std::string wanted = std::to_string(id);
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = text.substr(start, end - start);
    start = end + 1;
    const std::size_t first = line.find(':');
    if (first == std::string::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    if (line.substr(second + 1, line.find(':', second + 1) - second - 1) == wanted) return true;
  }
  return false;
}

/// The host's file with a line behind it.
std::string with_line(std::string text, const std::string& line) {
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text + line + "\n";
}

void add_caller(EtcFiles& files) {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  const std::string users = os::read_file("/etc/passwd", kMaxUserDatabase).value_or("");
  if (!has_id(users, uid)) {
    if (const auto line = os::user_line(uid)) files["passwd"] = with_line(users, *line);
  }
  const std::string groups = os::read_file("/etc/group", kMaxUserDatabase).value_or("");
  if (!has_id(groups, gid)) {
    if (const auto line = os::group_line(gid)) files["group"] = with_line(groups, *line);
  }
}

}  // namespace

std::string nsswitch_conf(bool has_servers) {
  std::string text = "# Of this run: names come from its network, or from nowhere.\n";
  for (const char* database : {"passwd", "group", "shadow", "gshadow", "initgroups"}) {
    text += std::string(database) + ": files\n";
  }
  text += has_servers ? "hosts: files dns\n" : "hosts: files\n";
  for (const char* database : {"networks", "protocols", "services", "ethers", "rpc", "netgroup"}) {
    text += std::string(database) + ": files\n";
  }
  return text;
}

std::string resolv_conf(const std::vector<base::IpAddress>& servers,
                        const std::vector<std::string>& search) {
  if (servers.empty()) return "# This network has no name server.\n";
  std::string text;
  for (const base::IpAddress& server : servers) text += "nameserver " + server.to_string() + "\n";
  if (search.empty()) return text;
  text += "search";
  for (const std::string& domain : search) text += " " + domain;
  return text + "\n";
}

EtcFiles etc_files(const RunConfig& config) {
  EtcFiles files = {{"resolv.conf", resolv_conf(config.dns_servers, config.dns_search)},
                    {"hosts", hosts(config)},
                    {"nsswitch.conf", nsswitch_conf(!config.dns_servers.empty())}};
  add_caller(files);
  return files;
}

}  // namespace warren::netns
