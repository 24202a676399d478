// A context is made for each call: it binds to the calling thread's namespace when it opens its
// socket. The library keeps global tables, so calls must not overlap; HostNet makes one at a time.
#include "hostnet/nftables.hpp"

#include <nftables/libnftables.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

namespace warren::hostnet {

namespace {

struct FreeContext {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

base::Result<std::string> run(const std::string& script, unsigned flags, const std::string& what) {
  const std::unique_ptr<nft_ctx, FreeContext> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context) return base::os_error(what + ": open libnftables");
  nft_ctx_buffer_output(context.get());
  nft_ctx_buffer_error(context.get());
  nft_ctx_output_set_flags(context.get(), flags);
  if (nft_run_cmd_from_buffer(context.get(), script.c_str()) == 0)
    return std::string(nft_ctx_get_output_buffer(context.get()));
  std::string why = nft_ctx_get_error_buffer(context.get());
  const auto kind = why.find("No such file") != std::string::npos    ? base::ErrorKind::NotFound
                    : why.find("not permitted") != std::string::npos ? base::ErrorKind::NotPermitted
                                                                     : base::ErrorKind::Failed;
  // The first line names the fault; the rest quotes the script.
  why = why.substr(0, why.find('\n'));
  return base::make_error(kind, what + ": " + why);
}

void take_set(const nlohmann::json& set, NftElements& out) {
  auto& elements = out.sets[set.at("name").get<std::string>()];
  if (!set.contains("elem")) return;
  for (const auto& element : set.at("elem"))
    if (element.is_string()) elements.insert(element.get<std::string>());
}

// [{"concat": ["tcp", 8080]}, {"concat": ["10.20.0.2", 80]}]
std::optional<NftElements::Forward> to_forward(const nlohmann::json& element) {
  const auto& from = element.at(0).at("concat");
  const auto& to = element.at(1).at("concat");
  const auto port = [](const nlohmann::json& number) -> std::uint16_t {
    const auto value = number.get<std::uint32_t>();
    return value > 0xffff ? std::uint16_t{0} : static_cast<std::uint16_t>(value);
  };
  const auto protocol = model::parse_protocol(from.at(0).get<std::string>());
  const auto address = base::IpAddress::parse(to.at(0).get<std::string>());
  if (!protocol || !address) return std::nullopt;
  return NftElements::Forward{{*protocol, port(from.at(1))}, *address, port(to.at(1))};
}

void take_map(const nlohmann::json& map, NftElements& out) {
  if (!map.contains("elem")) return;
  for (const auto& element : map.at("elem")) {
    std::optional<NftElements::Forward> forward;
    try {
      forward = to_forward(element);
    } catch (const nlohmann::json::exception&) {
      forward.reset();  // of another shape
    }
    if (forward) out.forwards.push_back(*forward);
    out.has_others = out.has_others || !forward;
  }
}

}  // namespace

base::Status run_nft(const std::string& script) {
  auto done = run(script, 0, "change nftables");
  if (!done) return std::move(done).error();
  return {};
}

base::Result<std::string> list_nft_table(const std::string& table) {
  return run("list table inet " + table, NFT_CTX_OUTPUT_TERSE | NFT_CTX_OUTPUT_STATELESS,
             "list nftables table " + table);
}

base::Result<NftElements> list_nft_elements(const std::string& table) {
  const std::string what = "list nftables table " + table;
  WARREN_TRY_ASSIGN(const std::string text,
                    run("list table inet " + table, NFT_CTX_OUTPUT_JSON, what));
  NftElements out;
  try {
    const nlohmann::json document = nlohmann::json::parse(text);
    for (const auto& entry : document.at("nftables")) {
      if (entry.contains("set")) take_set(entry.at("set"), out);
      if (entry.contains("map")) take_map(entry.at("map"), out);
    }
  } catch (const nlohmann::json::exception& failure) {
    return base::make_error(base::ErrorKind::Failed, what + ": " + failure.what());
  }
  return out;
}

}  // namespace warren::hostnet
