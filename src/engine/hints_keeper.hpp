// HintsKeeper: the hints memfd, seen from the running engine.
#pragma once

#include <deque>
#include <optional>

#include "ipc/hints.hpp"
#include "node/node.hpp"
#include "os/fd.hpp"
#include "os/file.hpp"

namespace warren::engine {

/// Without a memfd everything is a no-op.
class HintsKeeper {
 public:
  HintsKeeper() = default;
  /// Maps the memfd; fresh zeroed memory is formatted. Invalid when it is neither fresh nor a
  /// table.
  [[nodiscard]] static base::Result<HintsKeeper> create(os::Fd memfd);

  [[nodiscard]] bool is_kept() const { return table_.has_value(); }
  [[nodiscard]] const os::Fd& memfd() const { return memfd_; }

  void save(const base::PublicKey& peer, const node::PeerHints& hints);
  void erase(const base::PublicKey& peer);
  [[nodiscard]] std::optional<node::PeerHints> find(const base::PublicKey& peer) const;

 private:
  os::Fd memfd_;
  os::Mapping mapping_;
  std::optional<ipc::HintsTable> table_;
};

}  // namespace warren::engine
