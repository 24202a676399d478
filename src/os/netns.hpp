// Named network namespaces (as `ip netns` keeps them in /run/netns) and code run inside one.
#pragma once

#include <functional>
#include <string>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// Creates /run/netns/NAME (usable by `ip netns`), as `ip netns add`; Conflict if it exists.
[[nodiscard]] base::Result<Fd> create_named_netns(const std::string& name);
/// Opens /run/netns/NAME; NotFound if there is none.
[[nodiscard]] base::Result<Fd> open_named_netns(const std::string& name);
/// The calling thread's network namespace.
[[nodiscard]] base::Result<Fd> current_netns();
/// Whether privileges of this process hold in the namespace: it belongs to this process's user
/// namespace or to one below it. A daemon in a user namespace of its own has none over its host's.
[[nodiscard]] bool is_ours(const Fd& netns);
/// Unmounts and removes the name; the namespace goes when its last user does.
[[nodiscard]] base::Status delete_named_netns(const std::string& name);
/// Runs `fn` on a dedicated thread inside the namespace and waits for it.
[[nodiscard]] base::Status in_netns(const Fd& netns, const std::function<base::Status()>& fn);
/// The same in a new namespace that has no name: nobody else can enter it, and it goes with the
/// last thing that holds it.
[[nodiscard]] base::Status in_new_netns(const std::function<base::Status()>& fn);

}  // namespace warren::os
