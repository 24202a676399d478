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

	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname @networks oifname @networks drop
		iifname @networks accept
		oifname @networks ct state established,related accept
		oifname @networks drop
		meta nfproto ipv4 iifname @guarded4 drop
		meta nfproto ipv6 iifname @guarded6 drop
)";
  if (everywhere6) text += "\t\tmeta nfproto ipv6 drop\n";
  text += R"(	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @transit4 masquerade
		ip6 saddr @transit6 masquerade
	}
}
)";
  return text;
}

std::string namespace_table_text(const HostNetwork& network) {
  const std::string tun = '"' + network.id.interface_name() + '"';
  std::string text = std::string("table inet ") + kNamespaceTable + R"( {
	chain forward {
		type filter hook forward priority filter; policy drop;
		iifname )" +
                     tun + " oifname " + tun + R"( accept
		iifname )" +
                     tun + R"( oifname "br0" accept
		iifname "br0" oifname )" +
                     tun + " accept\n";
  const auto each_subnet = [&](const std::string& before, const std::string& after) {
    if (network.subnet4) text += before + "ip saddr " + network.subnet4->to_string() + after;
    if (network.subnet6) text += before + "ip6 saddr " + network.subnet6->to_string() + after;
  };
  if (network.nat) {
    each_subnet("\t\toifname \"up0\" ", " accept\n");
    text += "\t\tiifname \"up0\" ct state established,related accept\n";
  }
  text += "\t}\n";
  if (network.nat) {
    text +=
        "\n\tchain postrouting {\n"
        "\t\ttype nat hook postrouting priority srcnat; policy accept;\n";
    each_subnet("\t\toifname \"up0\" ", " masquerade\n");
    text += "\t}\n";
  }
  return text + "}\n";
}

}  // namespace warren::plan
