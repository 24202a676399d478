// nftables in the calling thread's network namespace, through libnftables.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/forward.hpp"
#include "model/policy_table.hpp"

namespace warren::hostnet {

/// Runs a script as one transaction: all of it or nothing.
[[nodiscard]] base::Status run_nft(const std::string& script);
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
