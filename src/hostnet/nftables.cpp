// A context is made for each call: it binds to the calling thread's namespace when it opens its
// socket. The library keeps global tables, so calls must not overlap; HostNet makes one at a time.
#include "hostnet/nftables.hpp"

#include <nftables/libnftables.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <utility>

#include "base/bytes.hpp"

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

/// 6, "tcp", {"range": [0, 255]}: the first and the last.
template <typename T>
std::pair<T, T> to_range(const nlohmann::json& json) {
  const auto one = [](const nlohmann::json& number) -> T {
    if (number.is_string()) {
      const std::string name = number.get<std::string>();
      if (name == "tcp") return T{model::kTcp};
      if (name == "udp") return T{model::kUdp};
      if (name == "icmp") return T{model::kIcmp};
      if (name == "ipv6-icmp" || name == "icmpv6") return T{model::kIcmp6};
      const auto value = base::parse_number(name, 0, std::numeric_limits<T>::max());
      if (value) return static_cast<T>(*value);
    }
    return number.get<T>();
  };
  if (!json.is_object()) return {one(json), one(json)};
  return {one(json.at("range").at(0)), one(json.at("range").at(1))};
}

/// [{"concat": [16, 17, "tcp", {"range": [22, 80]}]}, {"accept": null}], the groups as the map has
/// them.
model::GroupRule to_rule(const nlohmann::json& element, const std::string& map) {
  const auto& key = element.at(0).at("concat");
  model::GroupRule rule;
  std::size_t at = 0;
  if (map == "rules" || map == "to_any") rule.from = key.at(at++).get<std::uint32_t>();
  if (map == "rules" || map == "from_any") rule.to = key.at(at++).get<std::uint32_t>();
  std::tie(rule.ports.first_protocol, rule.ports.last_protocol) =
      to_range<std::uint8_t>(key.at(at));
  std::tie(rule.ports.first_port, rule.ports.last_port) = to_range<std::uint16_t>(key.at(at + 1));
  element.at(1).at("accept");  // throws where it is another verdict
  return rule;
}

void take_policy_map(const nlohmann::json& map, NftPolicy& out) {
  if (!map.contains("elem")) return;
  const auto name = map.at("name").get<std::string>();
  for (const auto& element : map.at("elem")) {
    try {
      if (!name.starts_with("groups")) {
        out.table.rules.push_back(to_rule(element, name));
        continue;
      }
      const auto address = base::IpAddress::parse(element.at(0).get<std::string>());
      if (!address) {
        out.has_others = true;
        continue;
      }
      out.table.members.push_back({*address, element.at(1).get<std::uint32_t>()});
    } catch (const nlohmann::json::exception&) {
      out.has_others = true;
    }
  }
}

/// Runs a command that lists, and hands over each entry of its answer.
base::Status read_json(const std::string& command,
                       const std::function<void(const nlohmann::json&)>& take) {
  const std::string what = "nft " + command;
  WARREN_TRY_ASSIGN(const std::string text, run(command, NFT_CTX_OUTPUT_JSON, what));
  try {
    const nlohmann::json document = nlohmann::json::parse(text);
    for (const auto& entry : document.at("nftables")) take(entry);
  } catch (const nlohmann::json::exception& failure) {
    return base::make_error(base::ErrorKind::Failed, what + ": " + failure.what());
  }
  return {};
}

}  // namespace

base::Status run_nft(const std::string& script) {
  auto done = run(script, 0, "change nftables");
  if (!done) return std::move(done).error();
  return {};
}

std::string removal_of_nft_table(const std::string& name) {
  // "add" first: the deletion then never fails for want of a table.
  return "add table inet " + name + "\ndelete table inet " + name + "\n";
}

base::Status replace_nft_table(const std::string& name, const std::string& text) {
  // A transaction that takes something away ends with a wait of 10 to 40 ms for the kernel, when
  // its socket is closed. One that only adds does not.
  if (run_nft("create table inet " + name + "\n" + text)) return {};
  return run_nft(removal_of_nft_table(name) + text);
}

base::Result<std::string> list_nft_table(const std::string& table) {
  return run("list table inet " + table, NFT_CTX_OUTPUT_TERSE | NFT_CTX_OUTPUT_STATELESS,
             "list nftables table " + table);
}

base::Result<NftElements> list_nft_elements(const std::string& table) {
  NftElements out;
  WARREN_TRY(read_json("list table inet " + table, [&](const nlohmann::json& entry) {
    if (entry.contains("set")) take_set(entry.at("set"), out);
    if (entry.contains("map")) take_map(entry.at("map"), out);
  }));
  return out;
}

base::Result<NftPolicy> list_nft_policy(const std::string& table) {
  NftPolicy out;
  WARREN_TRY(read_json("list table inet " + table, [&](const nlohmann::json& entry) {
    if (entry.contains("map")) take_policy_map(entry.at("map"), out);
  }));
  std::ranges::sort(out.table.members);
  std::ranges::sort(out.table.rules);
  return out;
}

base::Result<std::vector<std::string>> list_nft_tables() {
  std::vector<std::string> out;
  WARREN_TRY(read_json("list tables", [&](const nlohmann::json& entry) {
    if (!entry.contains("table")) return;
    const auto& table = entry.at("table");
    out.push_back(table.at("family").get<std::string>() + " " +
                  table.at("name").get<std::string>());
  }));
  return out;
}

}  // namespace warren::hostnet
