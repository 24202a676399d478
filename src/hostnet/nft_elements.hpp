// Single elements of a policy's maps, in the calling thread's network namespace.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "model/policy_table.hpp"
#include "os/fd.hpp"

namespace warren::hostnet {

/// As many as `change_elements` takes; more go through libnftables as well.
inline constexpr std::size_t kMaxElementsAtOnce = 500;

/// Takes members out of the maps groups4 and groups6 of an inet table and puts others in: all of
/// it, in one transaction, or nothing. One that is to go and is not there is no error.
///
/// Who closes the socket of a transaction waits until the kernel has freed what it took away, 10 to
/// 40 ms. So the socket goes to `spent`, to be closed when nobody waits.
[[nodiscard]] base::Status change_elements(const char* table,
                                           const std::vector<model::GroupMember>& gone,
                                           const std::vector<model::GroupMember>& come,
                                           std::vector<os::Fd>& spent);

}  // namespace warren::hostnet
