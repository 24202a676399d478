// A verdict of one chain cannot be undone by another, so whoever drops must be told himself. Chains
// at the hook that can drop (by policy, or by a rule in a chain that their table has) are looked
// at; programs that keep such chains are known by the names they give them. iptables of the old
// kind is not in nftables: the kernel lists its tables.
#include "hostnet/foreign_filter.hpp"

#include <algorithm>
#include <vector>

#include "hostnet/nftables.hpp"
#include "os/file.hpp"

namespace warren::hostnet {

namespace {

using plan::Obstacle;

/// A chain that can drop, and what of it does.
struct Suspect {
  NftBaseChain chain;
  std::string how;
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

/// The first rule that drops or rejects; empty: none does.
base::Result<std::string> dropping_rule(const NftBaseChain& chain) {
  for (const std::string& name : chain.chains) {
    WARREN_TRY_ASSIGN(const std::vector<std::string> rules,
                      list_nft_rules(chain.family, chain.table, name));
    for (const std::string& rule : rules) {
      const bool drops = rule.ends_with("drop") || rule.find("reject") != std::string::npos ||
                         rule.find(" drop comment") != std::string::npos;
      if (drops) return "rule \"" + rule + "\" of chain " + name;
    }
  }
  return std::string();
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
  if (packet.port)
    return {"firewalld, which is in charge on this host",
            "firewall-cmd --permanent --add-port=" + port_text(*packet.port, '/') +
                " && firewall-cmd --reload"};
  return {"firewalld, which is in charge on this host",
          "firewall-cmd --permanent --zone=trusted --add-interface=wh+ && firewall-cmd --reload"};
}

Obstacle of_ufw(const LostPacket& packet) {
  if (!packet.bridge.empty())
    return {"ufw, which is in charge on this host",
            "ufw route allow in on " + packet.bridge + " out on " + packet.bridge + kBridgedToo};
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
    if (chain.drops) {
      out.push_back({chain, "chain " + chain.name + " with policy drop"});
      continue;
    }
    WARREN_TRY_ASSIGN(std::string rule, dropping_rule(chain));
    if (!rule.empty()) out.push_back({chain, std::move(rule)});
  }
  return out;
}

}  // namespace

base::Result<std::optional<Obstacle>> find_foreign_filter(const LostPacket& packet) {
  WARREN_TRY_ASSIGN(const std::vector<Suspect> suspects, suspects_of(packet));
  const auto any = [&](const auto& is_it) {
    return std::ranges::any_of(suspects, [&](const Suspect& one) { return is_it(one.chain); });
  };
  if (any([](const NftBaseChain& c) { return c.table == "firewalld"; }))
    return of_firewalld(packet);
  if (any([](const NftBaseChain& c) {
        return has_chain_starting(c, "ufw-") || has_chain_starting(c, "ufw6-");
      }))
    return of_ufw(packet);
  if (packet.hook == "forward" &&
      any([](const NftBaseChain& c) { return has_chain(c, "DOCKER-USER"); }))
    return of_docker(packet);
  const auto by_policy =
      std::ranges::find_if(suspects, [](const Suspect& one) { return one.chain.drops; });
  if (by_policy != suspects.end()) return of_others(packet, *by_policy);
  if (!suspects.empty()) return of_others(packet, suspects.front());
  if (has_old_iptables(packet.family))
    return Obstacle{"iptables (the legacy kind: iptables-legacy -S shows it)",
                    iptables_rule(packet)};
  return std::optional<Obstacle>();
}

}  // namespace warren::hostnet
