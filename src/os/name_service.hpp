#pragma once

#include <optional>
#include <string>

namespace warren::os {

/// Keeps getaddrinfo and its kin, in this process, to what is inside libc: /etc/hosts, DNS, and the
/// files of users and groups. A static program calls it before its first look-up: the modules that
/// nsswitch.conf may name belong to the host's own libc, and two of those in one process crash.
void use_own_name_services();

/// The host's line about a user or group: out of /etc/passwd or /etc/group, or in their form from a
/// directory service, for which `getent` is asked, with the host's own libc and modules. Nothing
/// where nobody knows the number within a few seconds, or where there is no getent.
std::optional<std::string> user_line(unsigned uid);
std::optional<std::string> group_line(unsigned gid);

}  // namespace warren::os
