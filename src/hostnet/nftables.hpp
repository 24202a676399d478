// nftables in the calling thread's network namespace, through libnftables.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/forward.hpp"
#include "model/policy_table.hpp"

struct nft_ctx;

namespace warren::hostnet {

/// Runs a script as one transaction: all of it or nothing.
[[nodiscard]] base::Status run_nft(const std::string& script);
/// Makes a table of family inet what `text` says (`table inet NAME { … }` and what more), in place
/// of one that is there.
[[nodiscard]] base::Status replace_nft_table(const std::string& name, const std::string& text);
/// The script that removes a table, where there is one.
[[nodiscard]] std::string removal_of_nft_table(const std::string& name);
/// A table that goes with this object, whatever becomes of the process: the kernel removes it with
/// the socket it was made by (flag owner, Linux 5.12).
class OwnedTable {
 public:
  /// `body` is what stands between the braces of `table inet NAME { … }`.
  [[nodiscard]] static base::Result<OwnedTable> create(const std::string& name,
                                                       const std::string& body);
  OwnedTable(OwnedTable&&) = default;
  OwnedTable& operator=(OwnedTable&&) = default;
  OwnedTable(const OwnedTable&) = delete;
  OwnedTable& operator=(const OwnedTable&) = delete;
  ~OwnedTable() = default;
  /// How many packets each named counter of the table has seen.
  [[nodiscard]] base::Result<std::map<std::string, std::uint64_t>> counters() const;

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };
  OwnedTable(std::string name, std::unique_ptr<nft_ctx, Free> context)
      : name_(std::move(name)), context_(std::move(context)) {}

  std::string name_;
  std::unique_ptr<nft_ctx, Free> context_;
};

/// A chain that packets pass on their way, with all of its table.
struct NftBaseChain {
  std::string family;  ///< "inet", "ip", "ip6"
  std::string table;
  std::string name;
  bool drops = false;               ///< what no rule decides
  std::vector<std::string> chains;  ///< of the same table, this one too
};
/// Those of type filter at a hook ("input", "forward").
[[nodiscard]] base::Result<std::vector<NftBaseChain>> list_nft_base_chains(const std::string& hook);
/// The rules of a chain as nft shows them, one line each.
[[nodiscard]] base::Result<std::vector<std::string>> list_nft_rules(const std::string& family,
                                                                    const std::string& table,
                                                                    const std::string& chain);

/// The table of family inet as `nft --terse --stateless list table` shows it; NotFound when there
/// is none.
[[nodiscard]] base::Result<std::string> list_nft_table(const std::string& table);
/// What the sets and maps of a table hold, by the name of each.
struct NftElements {
  std::map<std::string, std::set<std::string>> sets;
  /// From protocol and port to address and port. Elements of other shapes are counted below.
  struct Forward {
    model::PublicPort from;
    base::IpAddress to;
    std::uint16_t to_port = 0;
  };
  std::vector<Forward> forwards;
  bool has_others = false;  ///< an element of a map that is no forward
};
/// What the maps of a policy's table hold, as plan::element_of writes it. `has_others`: also what
/// it never writes.
struct NftPolicy {
  model::PolicyTable table;
  bool has_others = false;
};
[[nodiscard]] base::Result<NftPolicy> list_nft_policy(const std::string& table);
/// The tables of the namespace: "inet warren".
[[nodiscard]] base::Result<std::vector<std::string>> list_nft_tables();
/// The elements of the table; NotFound when there is no such table.
[[nodiscard]] base::Result<NftElements> list_nft_elements(const std::string& table);

}  // namespace warren::hostnet
