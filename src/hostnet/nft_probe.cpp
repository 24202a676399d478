// What nftables of the host says beside tables of our own: who else decides about packets, and
// what becomes of them.
//
// An owned table lives as long as the netlink socket that made it, so its libnftables context is
// kept for as long as the object is. Lists are read with a context of their own, as elsewhere.
#include <nftables/libnftables.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "hostnet/nftables.hpp"

namespace warren::hostnet {

namespace {

using base::ErrorKind;

/// Runs a command and hands over what it prints.
base::Result<std::string> run_in(nft_ctx* context, const std::string& command,
                                 const std::string& what) {
  nft_ctx_buffer_output(context);
  nft_ctx_buffer_error(context);
  const int failed = nft_run_cmd_from_buffer(context, command.c_str());
  std::string out = nft_ctx_get_output_buffer(context);
  std::string why = nft_ctx_get_error_buffer(context);
  nft_ctx_unbuffer_output(context);
  nft_ctx_unbuffer_error(context);
  if (failed == 0) return out;
  return base::make_error(ErrorKind::Failed, what + ": " + why.substr(0, why.find('\n')));
}

base::Result<std::string> run_alone(const std::string& command, unsigned flags) {
  const auto free = [](nft_ctx* context) { nft_ctx_free(context); };
  const std::unique_ptr<nft_ctx, decltype(free)> context(nft_ctx_new(NFT_CTX_DEFAULT), free);
  if (!context) return base::os_error("open libnftables");
  nft_ctx_output_set_flags(context.get(), flags);
  return run_in(context.get(), command, "nft " + command);
}

base::Result<nlohmann::json> parsed(const base::Result<std::string>& text) {
  if (!text) return text.error();
  auto json = nlohmann::json::parse(*text, nullptr, false);
  if (json.is_discarded() || !json.contains("nftables"))
    return base::make_error(ErrorKind::Failed, "nft answered what is no JSON of its kind");
  return std::move(json.at("nftables"));
}

std::string trimmed(const std::string& line) {
  const std::size_t begin = line.find_first_not_of("\t ");
  return begin == std::string::npos ? "" : line.substr(begin);
}

}  // namespace

void OwnedTable::Free::operator()(nft_ctx* context) const { nft_ctx_free(context); }

base::Result<OwnedTable> OwnedTable::create(const std::string& name, const std::string& body) {
  std::unique_ptr<nft_ctx, Free> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context) return base::os_error("open libnftables");
  const std::string script = "table inet " + name + " {\n\tflags owner\n" + body + "}\n";
  const auto made = run_in(context.get(), script, "make a table for a probe");
  if (!made) return made.error();
  return OwnedTable(name, std::move(context));
}

base::Result<std::map<std::string, std::uint64_t>> OwnedTable::counters() const {
  nft_ctx_output_set_flags(context_.get(), NFT_CTX_OUTPUT_JSON);
  WARREN_TRY_ASSIGN(const nlohmann::json entries,
                    parsed(run_in(context_.get(), "list counters table inet " + name_,
                                  "read the counters of a probe")));
  std::map<std::string, std::uint64_t> out;
  for (const auto& entry : entries) {
    if (!entry.contains("counter")) continue;
    const auto& counter = entry.at("counter");
    out[counter.value("name", "")] = counter.value("packets", std::uint64_t{0});
  }
  return out;
}

base::Result<std::vector<NftBaseChain>> list_nft_base_chains(const std::string& hook) {
  WARREN_TRY_ASSIGN(const nlohmann::json entries,
                    parsed(run_alone("list chains", NFT_CTX_OUTPUT_JSON)));
  std::vector<NftBaseChain> out;
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> chains;
  for (const auto& entry : entries) {
    if (!entry.contains("chain")) continue;
    const auto& chain = entry.at("chain");
    const std::string family = chain.value("family", "");
    const std::string table = chain.value("table", "");
    chains[{family, table}].push_back(chain.value("name", ""));
    if (chain.value("hook", "") != hook || chain.value("type", "") != "filter") continue;
    if (family != "inet" && family != "ip" && family != "ip6") continue;
    out.push_back({.family = family,
                   .table = table,
                   .name = chain.value("name", ""),
                   .drops = chain.value("policy", "accept") == "drop",
                   .chains = {}});
  }
  for (NftBaseChain& chain : out) chain.chains = chains[{chain.family, chain.table}];
  return out;
}

base::Result<std::vector<std::string>> list_nft_rules(const std::string& family,
                                                      const std::string& table,
                                                      const std::string& chain) {
  WARREN_TRY_ASSIGN(const std::string text,
                    run_alone("list chain " + family + " " + table + " " + chain,
                              NFT_CTX_OUTPUT_TERSE | NFT_CTX_OUTPUT_STATELESS));
  std::vector<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    line = trimmed(line);
    const bool frame = line.empty() || line == "}" || line.starts_with("table ") ||
                       line.starts_with("chain ") || line.starts_with("type ");
    if (!frame) out.push_back(line);
  }
  return out;
}

}  // namespace warren::hostnet
