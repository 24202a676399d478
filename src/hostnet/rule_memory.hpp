// What the nftables of namespaces said when they were last asked, kept while nothing changes there.
//
// Asking libnftables for the tables of a namespace takes milliseconds; a gateway with a thousand
// networks looks at all of them whenever it changes one. The kernel counts the changes of each
// namespace's rules (their generation), whoever makes them, and tells the count for microseconds.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "plan/fact.hpp"

namespace warren::hostnet {

class RuleMemory {
 public:
  using Read = std::function<base::Status(std::vector<plan::Fact>&)>;
  /// Appends the facts that `read` finds in the rules of the calling thread's namespace, or found
  /// when the rules were the same as now.
  [[nodiscard]] base::Status recall(const std::string& netns, const Read& read,
                                    std::vector<plan::Fact>& out);
  /// Keeps these namespaces alone.
  void keep_only(const std::vector<std::string>& namespaces);

 private:
  struct Remembered {
    std::uint64_t space = 0;       ///< inode of the namespace: a name may come back
    std::uint32_t generation = 0;  ///< of its rules, before they were read
    std::vector<plan::Fact> facts;
  };
  std::map<std::string, Remembered> known_;
};

}  // namespace warren::hostnet
