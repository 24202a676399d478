// Theory of operation
//
// Each packet that begins something is asked three questions: whose is its source, whose is its
// destination (one look-up each, by address), and may the one open this to the other (at most four
// look-ups by both groups, protocol and port). None grows with the number of members, and packets
// of what was opened once are not asked at all.
//
// The table stands before the one that forwards: it only drops. Its chains never change, so that a
// change of policy or membership is a change of elements, in one transaction.
//
// The groups travel in the packet's mark (who asks) and the connection's (who is asked): both are
// the namespace's own. 1 is the internet, 2 the gateway, 16 and more are members, 0 is nobody.
// What arrives from the uplink is the internet's whatever its address says, and what arrives from a
// segment (3) the segment's, but for what the host sends where it has access: that is the
// gateway's.
#include "plan/policy.hpp"

#include <algorithm>
#include <iterator>

namespace warren::plan {

namespace {

/// "6", "0-255".
std::string range_text(std::uint32_t first, std::uint32_t last) {
  return std::to_string(first) + (first == last ? "" : "-" + std::to_string(last));
}

template <typename T>
std::vector<T> missing_in(const std::vector<T>& from, const std::vector<T>& other) {
  std::vector<T> out;
  std::ranges::set_difference(from, other, std::back_inserter(out));
  return out;
}

template <typename T>
void add_commands(const char* verb, const std::vector<T>& entries, bool with_value,
                  std::string& script) {
  for (const T& entry : entries) {
    const PolicyElement element = element_of(entry);
    script += std::string(verb) + " element inet " + kPolicyTable + " " + element.map + " { " +
              element.key + (with_value ? " : " + element.value : "") + " }\n";
  }
}

}  // namespace

std::string policy_table_text(const HostNetwork& network) {
  const std::string tun = network.id.interface_name();
  const bool attached = !network.attach.empty();
  std::string host;
  if (network.host_access && network.subnet4)
    host += "\t\tiifname \"up0\" ip saddr " + network.transit4_host.to_string() + " accept\n";
  if (network.host_access && network.subnet6)
    host += "\t\tiifname \"up0\" ip6 saddr " + network.transit6_host.to_string() + " accept\n";
  const std::string segment = attached ? R"(		iifname "seg0" meta mark set 0x00000003
		oifname "seg0" ct mark set 0x00000003
)"
                                       : "";
  const std::string also_from = attached ? " iifname != \"seg0\"" : "";
  // Whoever is on a wire is asked who has which address.
  const std::string neighbours = attached ? R"(		icmpv6 type mld-listener-query accept
		icmpv6 type nd-neighbor-solicit accept
		icmpv6 type nd-neighbor-advert accept
)"
                                          : "";
  const std::string asks = attached ? "\t\tiifname \"seg0\" meta mark set 0x00000003\n" : "";
  return std::string("table inet ") + kPolicyTable + R"( {
	map groups4 {
		type ipv4_addr : mark
	}

	map groups6 {
		type ipv6_addr : mark
	}

	map rules {
		type mark . mark . inet_proto . inet_service : verdict
		flags interval
	}

	map from_any {
		type mark . inet_proto . inet_service : verdict
		flags interval
	}

	map to_any {
		type mark . inet_proto . inet_service : verdict
		flags interval
	}

	map any_to_any {
		type inet_proto . inet_service : verdict
		flags interval
	}

	chain forward {
		type filter hook forward priority filter - 5; policy drop;
		ct state established,related accept
		ct state invalid drop
)" + host +
         R"(		meta mark set 0x00000000
		ct mark set 0x00000000
		meta mark set ip saddr map @groups4
		meta mark set ip6 saddr map @groups6
		ct mark set ip daddr map @groups4
		ct mark set ip6 daddr map @groups6
		iifname "up0" meta mark set 0x00000001
		oifname "up0" ct mark set 0x00000001
)" + segment +
         R"(		jump decide
	}

	chain input {
		type filter hook input priority filter - 5; policy accept;
		iifname != ")" +
         tun + "\"" + also_from + R"( accept
		ct state established,related accept
		ct state invalid drop
)" + neighbours +
         R"(		icmp type echo-request accept
		icmpv6 type echo-request accept
		tcp dport 53 accept
		udp dport 53 accept
		meta mark set 0x00000000
		meta mark set ip saddr map @groups4
		meta mark set ip6 saddr map @groups6
)" + asks +
         R"(		ct mark set 0x00000002
		jump decide
		drop
	}

	chain decide {
		meta mark 0x00000000 drop
		ct mark 0x00000000 drop
		meta mark . ct mark . meta l4proto . th dport vmap @rules
		meta mark >= 0x00000010 ct mark . meta l4proto . th dport vmap @from_any
		ct mark >= 0x00000010 meta mark . meta l4proto . th dport vmap @to_any
		meta mark >= 0x00000010 ct mark >= 0x00000010 meta l4proto . th dport vmap @any_to_any
	}
}
)";
}

PolicyElement element_of(const model::GroupMember& member) {
  return {.map = member.address.is_v4() ? "groups4" : "groups6",
          .key = member.address.to_string(),
          .value = std::to_string(member.group)};
}

PolicyElement element_of(const model::GroupRule& rule) {
  const bool from_any = rule.from == model::kEveryMember;
  const bool to_any = rule.to == model::kEveryMember;
  std::string key;
  if (!from_any) key += std::to_string(rule.from) + " . ";
  if (!to_any) key += std::to_string(rule.to) + " . ";
  key += range_text(rule.ports.first_protocol, rule.ports.last_protocol) + " . " +
         range_text(rule.ports.first_port, rule.ports.last_port);
  const char* both = from_any ? "any_to_any" : "to_any";
  const char* one = from_any ? "from_any" : "rules";
  return {.map = to_any ? both : one, .key = std::move(key), .value = "accept"};
}

std::string policy_script(const model::PolicyTable& before, const model::PolicyTable& after) {
  std::string script;
  add_commands("delete", missing_in(before.members, after.members), false, script);
  add_commands("add", missing_in(after.members, before.members), true, script);
  if (before.rules == after.rules) return script;
  // nft 1.0.6 adds elements of these maps that it cannot delete one by one (those without any
  // range). Rules are few, however many members there are: they are replaced whole.
  if (!before.rules.empty()) {
    for (const char* map : {"rules", "from_any", "to_any", "any_to_any"}) {
      script += std::string("flush map inet ") + kPolicyTable + " " + map + "\n";
    }
  }
  add_commands("add", after.rules, true, script);
  return script;
}

std::string members_script(const std::vector<model::GroupMember>& gone,
                           const std::vector<model::GroupMember>& come) {
  // Adding an element that is there is no error, deleting an absent one is: add it first.
  std::string script;
  add_commands("add", gone, true, script);
  add_commands("delete", gone, false, script);
  add_commands("add", come, true, script);
  return script;
}

bool is_tighter(const model::PolicyTable& before, const model::PolicyTable& after) {
  return !missing_in(before.members, after.members).empty() ||
         !missing_in(before.rules, after.rules).empty();
}

}  // namespace warren::plan
