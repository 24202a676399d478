// The two nftables tables, written exactly as nft lists them: what is read back from the kernel is
// compared with this text.
#include "plan/steps.hpp"

namespace warren::plan {

std::string host_table_text(const std::string& table, bool everywhere6) {
  std::string text = "table inet " + table + R"( {
	set networks {
		type ifname
	}

	set transit4 {
		type ipv4_addr
	}

	set transit6 {
		type ipv6_addr
	}

	set guarded4 {
		type ifname
	}

	set guarded6 {
		type ifname
	}

	map forwards4 {
		type inet_proto . inet_service : ipv4_addr . inet_service
	}

	map forwards6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname @networks oifname @networks drop
		iifname @networks accept
		oifname @networks ct state established,related accept
		oifname @networks ct status dnat accept
		oifname @networks drop
		meta nfproto ipv4 iifname @guarded4 drop
		meta nfproto ipv6 iifname @guarded6 drop
)";
  if (everywhere6) text += "\t\tmeta nfproto ipv6 drop\n";
  text += R"(	}

	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local dnat ip to meta l4proto . th dport map @forwards4
		fib daddr type local dnat ip6 to meta l4proto . th dport map @forwards6
	}

	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr != 127.0.0.0/8 fib daddr type local dnat ip to meta l4proto . th dport map @forwards4
		ip6 daddr != ::1 fib daddr type local dnat ip6 to meta l4proto . th dport map @forwards6
	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname @networks fib saddr type local ct status dnat masquerade
		ip saddr @transit4 masquerade
		ip6 saddr @transit6 masquerade
	}
}
)";
  return text;
}

namespace {

/// Of what the host itself sends to members.
std::string host_access_rules(const HostNetwork& network, const std::string& tun,
                              const std::string& verdict) {
  const std::string start = "\t\tiifname \"up0\" oifname " + tun;
  std::string text;
  if (network.subnet4) text += start + " ip saddr " + network.transit4_host.to_string() + verdict;
  if (network.subnet6) text += start + " ip6 saddr " + network.transit6_host.to_string() + verdict;
  return text;
}

/// Hosts of the segment send packets that are larger than the tunnel takes: TCP is told at once,
/// everything else by ICMP.
std::string clamp_chain() {
  constexpr const char* kClamp = " tcp flags syn / syn,rst tcp option maxseg size set rt mtu\n";
  return std::string(
             "\n\tchain clamp {\n"
             "\t\ttype filter hook forward priority mangle; policy accept;\n") +
         "\t\tiifname \"seg0\"" + kClamp + "\t\toifname \"seg0\"" + kClamp + "\t}\n";
}

}  // namespace

std::string namespace_table_text(const HostNetwork& network) {
  const std::string tun = '"' + network.id.interface_name() + '"';
  const bool forwards = !network.forwards.empty();
  const bool attached = !network.attach.empty();
  std::string text = std::string("table inet ") + kNamespaceTable + " {\n";
  if (forwards) {
    text += R"(	map forwards4 {
		type inet_proto . inet_service : ipv4_addr . inet_service
	}

	map forwards6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
	}

)";
  }
  text += R"(	chain forward {
		type filter hook forward priority filter; policy drop;
		iifname )" +
          tun + " oifname " + tun + R"( accept
		iifname )" +
          tun + R"( oifname "br0" accept
		iifname "br0" oifname )" +
          tun + " accept\n";
  if (attached) {
    // Nobody on the segment speaks as a member, or as somebody from elsewhere.
    text += "\t\tiifname \"seg0\" fib saddr . iif oif missing drop\n\t\tiifname " + tun +
            " oifname \"seg0\" accept\n\t\tiifname \"seg0\" oifname " + tun + " accept\n";
  }
  if (network.host_access) text += host_access_rules(network, tun, " accept\n");
  const auto each_subnet = [&](const std::string& before, const std::string& after) {
    if (network.subnet4) text += before + "ip saddr " + network.subnet4->to_string() + after;
    if (network.subnet6) text += before + "ip6 saddr " + network.subnet6->to_string() + after;
  };
  if (network.nat) {
    // The way out is the members', not the segment's.
    each_subnet(attached ? "\t\tiifname " + tun + " oifname \"up0\" " : "\t\toifname \"up0\" ",
                " accept\n");
    text += "\t\tiifname \"up0\" ct state established,related accept\n";
  } else if (network.host_access) {
    text += "\t\tiifname " + tun + " oifname \"up0\" ct state established,related accept\n";
  }
  // Both directions of what came through a forward, and of nothing else.
  if (forwards) text += "\t\tct status dnat accept\n";
  // Connections are tracked from the beginning, so that a policy may come later and cut none that
  // it allows.
  if (!network.nat && !forwards && !network.host_access) text += "\t\tct state invalid drop\n";
  text += "\t}\n";
  if (attached) text += clamp_chain();
  if (forwards) {
    text +=
        "\n\tchain prerouting {\n"
        "\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
        "\t\tiifname \"up0\" dnat ip to meta l4proto . th dport map @forwards4\n"
        "\t\tiifname \"up0\" dnat ip6 to meta l4proto . th dport map @forwards6\n"
        "\t}\n";
  }
  if (!network.nat && !forwards && !network.host_access) return text + "}\n";
  text +=
      "\n\tchain postrouting {\n"
      "\t\ttype nat hook postrouting priority srcnat; policy accept;\n";
  if (network.host_access) text += host_access_rules(network, tun, " masquerade\n");
  // Members that route only the subnets would not answer a stranger through the tunnel.
  if (!network.nat) text += "\t\tiifname \"up0\" ct status dnat masquerade\n";
  if (network.nat) each_subnet("\t\toifname \"up0\" ", " masquerade\n");
  text += "\t}\n";
  return text + "}\n";
}

}  // namespace warren::plan
