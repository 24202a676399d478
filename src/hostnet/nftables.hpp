// nftables in the calling thread's network namespace, through libnftables.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/result.hpp"

namespace warren::hostnet {

/// Runs a script as one transaction: all of it or nothing.
[[nodiscard]] base::Status run_nft(const std::string& script);
/// The table of family inet as `nft --terse --stateless list table` shows it; NotFound when there
/// is none.
[[nodiscard]] base::Result<std::string> list_nft_table(const std::string& table);
/// The elements of each set of the table; NotFound when there is no such table.
[[nodiscard]] base::Result<std::map<std::string, std::set<std::string>>> list_nft_elements(
    const std::string& table);

}  // namespace warren::hostnet
