#include "engine/hints_keeper.hpp"

#include <algorithm>

namespace warren::engine {

base::Result<HintsKeeper> HintsKeeper::create(os::Fd memfd) {
  HintsKeeper keeper;
  WARREN_TRY_ASSIGN(keeper.mapping_, os::Mapping::create(memfd));
  const base::MutableBytes memory = keeper.mapping_.bytes();
  const std::size_t smallest = ipc::HintsTable::size_for(1);
  if (memory.size() >= smallest &&
      std::ranges::all_of(memory.first(16), [](std::uint8_t byte) { return byte == 0; })) {
    ipc::HintsTable::format(memory);
  }
  keeper.table_ = ipc::HintsTable::open(memory);
  if (!keeper.table_) {
    return base::make_error(base::ErrorKind::Invalid, "the hints memfd holds no hints table");
  }
  keeper.memfd_ = std::move(memfd);
  return keeper;
}

void HintsKeeper::save(const base::PublicKey& peer, const node::PeerHints& hints) {
  if (!table_) return;
  // A full table loses the newest peer's hints: it resumes with its configuration only.
  std::ignore = table_->put(peer, {.endpoint = hints.endpoint,
                                   .last_sent_timestamp = hints.last_sent_timestamp,
                                   .last_accepted_timestamp = hints.last_accepted_timestamp,
                                   .last_activity = hints.last_activity});
}

void HintsKeeper::erase(const base::PublicKey& peer) {
  if (table_) table_->erase(peer);
}

std::optional<node::PeerHints> HintsKeeper::find(const base::PublicKey& peer) const {
  if (!table_) return std::nullopt;
  const auto hint = table_->get(peer);
  if (!hint) return std::nullopt;
  return node::PeerHints{.endpoint = hint->endpoint,
                         .last_sent_timestamp = hint->last_sent_timestamp,
                         .last_accepted_timestamp = hint->last_accepted_timestamp,
                         .last_activity = hint->last_activity};
}

}  // namespace warren::engine
