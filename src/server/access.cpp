#include "server/access.hpp"

#include <algorithm>
#include <vector>

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace warren::server {
namespace {

constexpr std::size_t kLookupBytes = std::size_t{64} * 1024;
constexpr int kMaxGroups = 65536;  // NGROUPS_MAX

struct User {
  std::string name;
  gid_t primary_group = 0;
};

std::optional<User> find_user(uid_t uid) {
  std::vector<char> buffer(kLookupBytes);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return std::nullopt;
  }
  return User{.name = entry.pw_name, .primary_group = entry.pw_gid};
}

bool user_is_in(const User& user, gid_t group) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(user.name.c_str(), user.primary_group, groups.data(), &count) < 0) {
    if (count <= static_cast<int>(groups.size()) || count > kMaxGroups) return false;
    groups.resize(static_cast<std::size_t>(count));
  }
  groups.resize(static_cast<std::size_t>(count));
  return std::ranges::find(groups, group) != groups.end();
}

}  // namespace

std::optional<gid_t> Access::group_id() const {
  if (group_.empty()) return std::nullopt;
  std::vector<char> buffer(kLookupBytes);
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(group_.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return entry.gr_gid;
}

base::Result<std::string> Access::check(const os::PeerCredentials& peer) const {
  if (peer.uid == 0) return std::string("uid 0 (root)");
  const std::optional<User> user = find_user(peer.uid);
  std::string actor =
      "uid " + std::to_string(peer.uid) + (user ? " (" + user->name + ")" : std::string());
  const std::optional<gid_t> allowed = group_id();
  if (allowed && (peer.gid == *allowed || (user && user_is_in(*user, *allowed)))) return actor;
  return base::make_error(base::ErrorKind::NotPermitted, actor + " may not use the warren daemon",
                          "run this as root, or join the group '" + group_ + "': usermod -aG " +
                              group_ + " USER (and log in again)");
}

base::Status Access::open_to_group(const std::string& path) const {
  const std::optional<gid_t> group = group_id();
  if (!group) return {};
  if (::lchown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    return base::os_error("give " + path + " to the group " + group_);
  }
  if (::chmod(path.c_str(), 0660) != 0) return base::os_error("chmod 0660 " + path);
  return {};
}

}  // namespace warren::server
