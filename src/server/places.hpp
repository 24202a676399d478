// Who holds the connections of a listener, and who has to go when all places are taken. Internal to
// server.
//
// A stranger's connection counts for its source, and there are few places for strangers. Whoever
// has proved who it is gives its place back and counts among the known, of whom each may have some;
// what it opens beyond those stays a stranger's. When the strangers' places are all taken, the
// source that has most of them loses its oldest to one that has fewer: so a handful of addresses
// that do nothing but connect keep nobody else out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/address.hpp"

namespace warren::server {

/// Open connections, oldest first, each with its source and the way to close it.
class Connections {
 public:
  std::uint64_t add(const base::IpAddress& source, std::function<void()> close) {
    open_.emplace(++last_, Open{.source = source, .close = std::move(close)});
    return last_;
  }
  void remove(std::uint64_t id) { open_.erase(id); }
  [[nodiscard]] std::size_t size() const { return open_.size(); }
  void close_all() const {
    for (const auto& [id, open] : open_) open.close();
  }
  /// Closes one for a newcomer; false when no other source has more than the newcomer would.
  bool make_room(const base::IpAddress& newcomer) {
    std::unordered_map<base::IpAddress, std::size_t> held;
    for (const auto& [id, open] : open_) ++held[open.source];
    std::size_t most = held[newcomer] + 1;
    auto doomed = open_.end();
    for (auto at = open_.begin(); at != open_.end(); ++at) {
      if (held[at->second.source] <= most) continue;
      most = held[at->second.source];
      doomed = at;
    }
    if (doomed == open_.end()) return false;
    const std::function<void()> close = std::move(doomed->second.close);
    open_.erase(doomed);  // it is not one any more, whenever its coroutine notices
    close();
    return true;
  }

 private:
  struct Open {
    base::IpAddress source;
    std::function<void()> close;
  };
  std::map<std::uint64_t, Open> open_;
  std::uint64_t last_ = 0;
};

class Entry {
 public:
  Entry(Connections& table, const base::IpAddress& source, std::function<void()> close)
      : table_(table), id_(table.add(source, std::move(close))) {}
  ~Entry() { table_.remove(id_); }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  Connections& table_;
  std::uint64_t id_;
};

template <typename Holder>
using Counts = std::unordered_map<Holder, std::size_t>;

/// Counts a holder's open connections; not granted when it has too many.
template <typename Holder>
class Slot {
 public:
  Slot(Counts<Holder>& counts, const Holder& holder, std::size_t most)
      : counts_(counts), holder_(holder), granted_(counts_[holder_]++ < most) {}
  ~Slot() {
    const auto found = counts_.find(holder_);
    if (--found->second == 0) counts_.erase(found);
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  [[nodiscard]] bool granted() const { return granted_; }

 private:
  Counts<Holder>& counts_;
  Holder holder_;
  bool granted_ = false;
};

/// The connections of one listener.
struct Places {
  Connections strangers;
  Counts<base::IpAddress> of_source;
  Connections known;
  Counts<std::string> of_known;

  void close_all() const {
    strangers.close_all();
    known.close_all();
  }
};

/// One connection's place.
class Place {
 public:
  Place(Places& places, const base::IpAddress& source, std::size_t most_of_source,
        std::function<void()> close)
      : places_(places), source_(source), close_(std::move(close)) {
    source_slot_.emplace(places_.of_source, source_, most_of_source);
    entry_.emplace(places_.strangers, source_, close_);
  }
  /// False: its source has too many.
  [[nodiscard]] bool granted() const { return !source_slot_ || source_slot_->granted(); }
  [[nodiscard]] bool is_known() const { return known_slot_.has_value(); }
  /// It is `who`, of whom there may be `most_of_who`, and `most` of all who are known.
  void become_known(const std::string& who, std::size_t most_of_who, std::size_t most) {
    if (is_known() || places_.known.size() >= most) return;
    known_slot_.emplace(places_.of_known, who, most_of_who);
    if (!known_slot_->granted()) return known_slot_.reset();
    source_slot_.reset();
    entry_.emplace(places_.known, source_, close_);
  }

 private:
  Places& places_;
  base::IpAddress source_;
  std::function<void()> close_;
  std::optional<Slot<base::IpAddress>> source_slot_;
  std::optional<Slot<std::string>> known_slot_;
  std::optional<Entry> entry_;
};

}  // namespace warren::server
