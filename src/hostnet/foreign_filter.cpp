// A verdict of one chain cannot be undone by another, so whoever drops must be told himself. Chains
// at the hook that can drop (by policy, or by a rule of a chain that packets of the link are handed
// to) are looked at; programs that keep such chains are known by the names they give them. iptables
// of the old kind is not in nftables: the kernel lists its tables.
//
// Rules are not evaluated here: that a packet is dropped is known, the kernel did it. What remains
// is by whom, and there only the link that it came in on is looked at: a rule for another is not
// it.
#include "hostnet/foreign_filter.hpp"

#include <algorithm>
#include <vector>

#include "hostnet/nftables.hpp"
#include "hostnet/rule_links.hpp"
#include "os/file.hpp"

namespace warren::hostnet {

namespace {

using plan::Obstacle;

/// A chain that can drop, and what of it does.
struct Suspect {
  NftBaseChain chain;
  std::string how;
  bool names_link = false;  ///< by a rule for this very link
};
/// A rule that drops or rejects; empty: none.
struct DroppingRule {
  std::string text;
  bool names_link = false;
};

bool has_chain(const NftBaseChain& chain, std::string_view name) {
  return std::ranges::any_of(chain.chains, [&](const std::string& one) { return one == name; });
}

bool has_chain_starting(const NftBaseChain& chain, std::string_view start) {
  return std::ranges::any_of(chain.chains,
                             [&](const std::string& one) { return one.starts_with(start); });
}

std::string port_text(const model::PublicPort& port, char between) {
  const std::string protocol(model::to_string(port.protocol));
  return between == '/' ? std::to_string(port.port) + "/" + protocol
                        : protocol + " dport " + std::to_string(port.port);
}

bool is_dropping(const std::string& rule) {
  return rule.ends_with("drop") || rule.find("reject") != std::string::npos ||
         rule.find(" drop comment") != std::string::npos;
}

/// The first rule that drops what comes in on the link, on the way through the chains that it is
/// handed to; one that names the link before one that does not.
base::Result<DroppingRule> dropping_rule(const NftBaseChain& chain, const std::string& link) {
  DroppingRule found;
  std::vector<std::string> ways{chain.name};
  for (std::size_t at = 0; at < ways.size() && !found.names_link; ++at) {
    const std::string name = ways[at];
    if (!has_chain(chain, name)) continue;
    WARREN_TRY_ASSIGN(const std::vector<std::string> rules,
                      list_nft_rules(chain.family, chain.table, name));
    for (const std::string& rule : rules) {
      const RuleReach reach = reach_of(rule, link);
      if (reach == RuleReach::Others) continue;
      for (std::string& target : targets_of(rule, link))
        if (std::ranges::find(ways, target) == ways.end()) ways.push_back(std::move(target));
      const bool names_link = reach == RuleReach::Named;
      const bool is_better = found.text.empty() || (names_link && !found.names_link);
      if (!is_dropping(rule) || !is_better) continue;
      found = {"rule \"" + rule + "\" of chain " + name, names_link};
    }
  }
  return found;
}

/// The zone that firewalld has the link in; empty: the default one.
std::string zone_of(const std::string& link) {
  constexpr std::string_view kBefore = "filter_IN_";
  for (const char* chain : {"filter_INPUT_ZONES", "filter_INPUT_ZONES_SOURCE"}) {
    const auto rules = list_nft_rules("inet", "firewalld", chain);
    if (!rules) continue;
    for (const std::string& rule : *rules) {
      if (reach_of(rule, link) != RuleReach::Named) continue;
      for (const std::string& target : targets_of(rule, link))
        if (target.starts_with(kBefore)) return target.substr(kBefore.size());
    }
  }
  return "";
}

/// What is only bridged is asked about at the hook of what is forwarded.
constexpr const char* kBridgedToo =
    "; or leave bridged packets alone: sysctl -w "
    "net.bridge.bridge-nf-call-iptables=0 "
    "net.bridge.bridge-nf-call-ip6tables=0";

Obstacle of_firewalld(const LostPacket& packet) {
  if (!packet.bridge.empty())
    return {"firewalld, which is in charge on this host",
            "firewall-cmd --permanent --zone=trusted --add-interface=" + packet.bridge +
                " && firewall-cmd --reload" + kBridgedToo};
  if (packet.port) {
    const std::string zone = zone_of(packet.link);
    return {"firewalld, which is in charge on this host",
            "firewall-cmd --permanent " + (zone.empty() ? "" : "--zone=" + zone + " ") +
                "--add-port=" + port_text(*packet.port, '/') + " && firewall-cmd --reload"};
  }
  return {"firewalld, which is in charge on this host",
          "firewall-cmd --permanent --zone=trusted --add-interface=wh+ && firewall-cmd --reload"};
}

/// `names_link`: one of its rules is about this link, and stands before what is appended.
Obstacle of_ufw(const LostPacket& packet, bool names_link) {
  if (!packet.bridge.empty())
    return {"ufw, which is in charge on this host",
            "ufw route allow in on " + packet.bridge + " out on " + packet.bridge + kBridgedToo};
  if (packet.port && packet.hook == "input" && names_link)
    return {"ufw, which is in charge on this host",
            "ufw insert 1 allow in on " + packet.link + " to any port " +
                std::to_string(packet.port->port) + " proto " +
                std::string(model::to_string(packet.port->protocol))};
  if (packet.port && packet.hook == "input")
    return {"ufw, which is in charge on this host", "ufw allow " + port_text(*packet.port, '/')};
  if (packet.port) return {"ufw, which is in charge on this host", "ufw route allow out on wh+"};
  return {"ufw, which is in charge on this host", "ufw route allow in on wh+"};
}

Obstacle of_docker(const LostPacket& packet) {
  const std::string program = packet.family == base::Family::V4 ? "iptables" : "ip6tables";
  if (!packet.bridge.empty())
    return {"Docker, whose chain FORWARD drops what it does not know",
            program + " -I DOCKER-USER -i " + packet.bridge + " -o " + packet.bridge +
                " -j ACCEPT" + kBridgedToo};
  if (packet.port)
    return {"Docker, whose chain FORWARD drops what it does not know",
            program + " -I DOCKER-USER -o wh+ -j ACCEPT"};
  return {"Docker, whose chain FORWARD drops what it does not know",
          program + " -I DOCKER-USER -i wh+ -j ACCEPT && " + program +
              " -I DOCKER-USER -o wh+ -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"};
}

std::string iptables_rule(const LostPacket& packet) {
  const std::string program = packet.family == base::Family::V4 ? "iptables" : "ip6tables";
  if (!packet.bridge.empty())
    return program + " -I FORWARD -i " + packet.bridge + " -o " + packet.bridge + " -j ACCEPT" +
           kBridgedToo;
  if (packet.hook == "forward")
    return program + " -I FORWARD " + (packet.port ? "-o" : "-i") + " wh+ -j ACCEPT";
  const std::string protocol(model::to_string(packet.port->protocol));
  return program + " -I INPUT -p " + protocol + " --dport " + std::to_string(packet.port->port) +
         " -j ACCEPT";
}

/// `suspect` is a chain of somebody's who is not known by name.
Obstacle of_others(const LostPacket& packet, const Suspect& suspect) {
  const NftBaseChain& chain = suspect.chain;
  const std::string where = chain.family + " " + chain.table + " " + chain.name;
  const std::string what = suspect.how + " (table " + chain.family + " " + chain.table + ")";
  // What iptables writes into nftables it should also be told.
  const bool is_iptables =
      chain.table == "filter" && (chain.name == "INPUT" || chain.name == "FORWARD");
  if (is_iptables) return {what, iptables_rule(packet)};
  std::string match = "iifname \"wh*\"";
  if (packet.port)
    match = packet.hook == "input" ? port_text(*packet.port, ' ') : "oifname \"wh*\"";
  if (!packet.bridge.empty())
    match = "iifname \"" + packet.bridge + "\" oifname \"" + packet.bridge + "\"";
  return {what, "nft insert rule " + where + " " + match + " accept" +
                    (packet.bridge.empty() ? "" : kBridgedToo)};
}

bool has_old_iptables(base::Family family) {
  const auto names =
      os::read_file(family == base::Family::V4 ? "/proc/thread-self/net/ip_tables_names"
                                               : "/proc/thread-self/net/ip6_tables_names");
  return names && names->find("filter") != std::string::npos;
}

base::Result<std::vector<Suspect>> suspects_of(const LostPacket& packet) {
  WARREN_TRY_ASSIGN(const std::vector<NftBaseChain> chains, list_nft_base_chains(packet.hook));
  std::vector<Suspect> out;
  for (const NftBaseChain& chain : chains) {
    const bool ours = chain.table.starts_with("warren");
    const bool other = chain.family == (packet.family == base::Family::V4 ? "ip6" : "ip");
    if (ours || other) continue;
    WARREN_TRY_ASSIGN(DroppingRule rule, dropping_rule(chain, packet.link));
    if (chain.drops && !rule.names_link) {
      out.push_back({chain, "chain " + chain.name + " with policy drop"});
    } else if (!rule.text.empty()) {
      out.push_back({chain, std::move(rule.text), rule.names_link});
    }
  }
  return out;
}

}  // namespace

base::Result<std::optional<Obstacle>> find_foreign_filter(const LostPacket& packet) {
  WARREN_TRY_ASSIGN(const std::vector<Suspect> suspects, suspects_of(packet));
  const auto by = [&](const auto& is_it) -> const Suspect* {
    const auto found = std::ranges::find_if(suspects, is_it);
    return found == suspects.end() ? nullptr : &*found;
  };
  const auto is_ufw = [](const Suspect& one) {
    return has_chain_starting(one.chain, "ufw-") || has_chain_starting(one.chain, "ufw6-");
  };
  if (by([](const Suspect& one) { return one.chain.table == "firewalld"; }))
    return of_firewalld(packet);
  if (const Suspect* ufw = by(is_ufw)) return of_ufw(packet, ufw->names_link);
  if (packet.hook == "forward" &&
      by([](const Suspect& one) { return has_chain(one.chain, "DOCKER-USER"); }))
    return of_docker(packet);
  if (const Suspect* named = by([](const Suspect& one) { return one.names_link; }))
    return of_others(packet, *named);
  if (const Suspect* closed = by([](const Suspect& one) { return one.chain.drops; }))
    return of_others(packet, *closed);
  if (!suspects.empty()) return of_others(packet, suspects.front());
  if (has_old_iptables(packet.family))
    return Obstacle{"iptables (the legacy kind: iptables-legacy -S shows it)",
                    iptables_rule(packet)};
  return std::optional<Obstacle>();
}

}  // namespace warren::hostnet
