// An /etc of the run's own: the host's, but for some files.
#pragma once

#include "base/result.hpp"
#include "netns/etc_files.hpp"

namespace warren::netns {

/// `scratch` is an existing directory in a file system of ours, not seen by the run afterwards.
/// Where neither an overlay nor a tmpfs may cover /etc: an Error, or with `weak_dns` each file is
/// bound over the host's (until the host replaces that file by another).
[[nodiscard]] base::Status mount_etc(const EtcFiles& files, const std::string& scratch,
                                     bool weak_dns);

/// Puts other files in the place of those that mount_etc put there, while programs use them.
[[nodiscard]] base::Status replace_etc(const EtcFiles& files);

}  // namespace warren::netns
