// What comes and goes in sets and maps of our tables, as one transaction.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "plan/fact.hpp"

namespace warren::hostnet {

class ElementScript {
 public:
  /// Whether the fact is elements of a table: a gate, a guard, a forward.
  [[nodiscard]] static bool can_hold(const plan::Fact& fact);

  /// Of facts in one namespace alone.
  void add(const plan::Fact& fact) { take(fact, added_, added_); }
  /// It may be gone already.
  void remove(const plan::Fact& fact) { take(fact, present_, gone_); }

  [[nodiscard]] bool empty() const { return added_.empty() && gone_.empty(); }
  /// Where it is to be run; empty: in the host.
  [[nodiscard]] const std::string& netns() const { return netns_; }
  [[nodiscard]] std::string text() const;

 private:
  /// By table and set.
  using Elements = std::map<std::string, std::vector<std::string>>;
  void take(const plan::Fact& fact, Elements& whole, Elements& keys);

  std::string netns_;
  Elements present_;  ///< what goes, with what it leads to
  Elements gone_;     ///< the keys of what goes
  Elements added_;
};

}  // namespace warren::hostnet
