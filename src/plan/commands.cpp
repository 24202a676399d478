// The printable form of a change. What hostnet does has the effect of these commands; it does not
// run them.
#include <algorithm>

#include "base/assert.hpp"
#include "model/network.hpp"
#include "plan/fact.hpp"
#include "plan/policy.hpp"

namespace warren::plan {

namespace {

using Lines = std::vector<std::string>;

std::string ip(const std::string& netns) { return netns.empty() ? "ip " : "ip -n " + netns + " "; }

std::string ip_of(const std::string& netns, const base::IpAddress& address) {
  return ip(netns) + (address.is_v6() ? "-6 " : "");
}

std::string in(const std::string& netns) {
  return netns.empty() ? "" : "nsenter --net=/run/netns/" + netns + " ";
}

/// "02:57:3f:9c:01:ab".
std::string station_text(std::uint32_t station) {
  const std::string digits = model::NetworkId{station}.hex();
  std::string out = "02:57";
  for (std::size_t at = 0; at < digits.size(); at += 2) out += ":" + digits.substr(at, 2);
  return out;
}

std::string destination_text(const base::Prefix& destination) {
  return destination.length == 0 ? "default" : destination.to_string();
}

/// What a step is about: what is there afterwards or, when it goes, what was there. A step has at
/// least one of the two (see commands()).
template <typename T>
const T& shown_of(const T* before, const T* after) {
  WARREN_ASSERT(before != nullptr || after != nullptr);
  return after != nullptr ? *after : *before;
}

Lines lines(const Namespace* before, const Namespace* after, const std::string& instance) {
  const Namespace& shown = shown_of(before, after);
  if (after == nullptr) return {"ip netns del " + shown.name};
  return {"ip netns add " + shown.name,
          "ip -n " + shown.name + " link set lo alias warren:" + instance};
}

Lines lines(const Sysctl* before, const Sysctl* after, const std::string&) {
  const Sysctl& shown = shown_of(before, after);
  std::string key = shown.key;
  std::ranges::replace(key, '/', '.');
  const std::string set = in(shown.netns) + "sysctl -qw " + key + "=";
  if (after != nullptr) return {set + after->value};
  return {shown.otherwise ? set + *shown.otherwise : set + "BEFORE  # as it was recorded"};
}

std::string add_link(const Link& link) {
  switch (link.kind) {
    case LinkKind::Loopback:
      return "";
    case LinkKind::Tun:
      return ip(link.netns) + "tuntap add " + link.name + " mode tun user 0 group 0 multi_queue";
    case LinkKind::Bridge:
      return ip(link.netns) + "link add " + link.name + " type bridge";
    case LinkKind::Veth:
      return "ip link add " + link.host_name + " type veth peer name " + link.name + " netns " +
             link.netns;
    case LinkKind::Macvlan:
      return "ip link add link " + link.master + " name " + link.name + " netns " + link.netns +
             " type macvlan mode bridge";
  }
  return "";
}

Lines lines(const Link* before, const Link* after, const std::string& instance) {
  const Link& shown = shown_of(before, after);
  if (after == nullptr) {
    if (shown.kind == LinkKind::Loopback) return {ip(shown.netns) + "link set lo down"};
    return {ip(shown.netns) + "link del " + shown.name};
  }
  Lines out;
  if (before == nullptr && after->kind != LinkKind::Loopback) {
    out.push_back(add_link(*after));
    if (!after->host_name.empty())
      out.push_back("ip link set " + after->host_name + " alias warren:" + instance);
  }
  if (after->mtu != 0 && (before == nullptr || before->mtu != after->mtu))
    out.push_back(ip(after->netns) + "link set " + after->name + " mtu " +
                  std::to_string(after->mtu));
  if (after->station != 0 && (before == nullptr || before->station != after->station))
    out.push_back(ip(after->netns) + "link set " + after->name + " address " +
                  station_text(after->station));
  if (after->kind == LinkKind::Veth &&
      (before == nullptr ? !after->master.empty() : before->master != after->master))
    out.push_back("ip link set " + after->host_name +
                  (after->master.empty() ? " nomaster" : " master " + after->master));
  if (before == nullptr ? after->up : before->up != after->up) {
    const std::string how = after->up ? " up" : " down";
    out.push_back(ip(after->netns) + "link set " + after->name + how);
    if (!after->host_name.empty()) out.push_back("ip link set " + after->host_name + how);
  }
  return out;
}

Lines lines(const Address* before, const Address* after, const std::string&) {
  const Address& shown = shown_of(before, after);
  const bool nodad = after != nullptr && shown.prefix.address.is_v6();
  return {ip_of(shown.netns, shown.prefix.address) + "addr " +
          (after != nullptr ? "add " : "del ") + shown.prefix.to_string() + " dev " + shown.link +
          (nodad ? " nodad" : "")};
}

Lines lines(const Route* before, const Route* after, const std::string&) {
  const Route& shown = shown_of(before, after);
  return {ip_of(shown.netns, shown.destination.address) + "route " +
          (after != nullptr ? "add " : "del ") + destination_text(shown.destination) +
          (shown.gateway ? " via " + shown.gateway->to_string() : "") + " dev " + shown.link +
          " proto " + std::to_string(kRouteProtocol)};
}

Lines lines(const ProxyNeighbour* before, const ProxyNeighbour* after, const std::string&) {
  const ProxyNeighbour& shown = shown_of(before, after);
  return {ip_of(shown.netns, shown.address) + "neigh " + (after != nullptr ? "add" : "del") +
          " proxy " + shown.address.to_string() + " dev " + shown.link};
}

/// One transaction: packets find the former table or the new one. Declaring it first lets a table
/// be deleted that is not there any more.
std::string nft_script(const std::string& netns, const std::string& replaced,
                       const std::string& text) {
  const std::string removal =
      replaced.empty() ? "" : "table inet " + replaced + "\ndelete table inet " + replaced + "\n";
  return in(netns) + "nft -f - <<'END'\n" + removal + text + "END";
}

Lines lines(const Table* before, const Table* after, const std::string&) {
  const Table& shown = shown_of(before, after);
  if (after == nullptr) return {in(shown.netns) + "nft delete table inet " + shown.name};
  return {nft_script(shown.netns, before != nullptr ? shown.name : "", after->text)};
}

Lines lines(const Gate* before, const Gate* after, const std::string&) {
  const Gate& shown = shown_of(before, after);
  const std::string start =
      std::string("nft ") + (after != nullptr ? "add" : "delete") + " element inet " + shown.table;
  Lines out;
  if (!shown.link.empty()) out.push_back(start + " networks '{ \"" + shown.link + "\" }'");
  if (shown.transit4) out.push_back(start + " transit4 '{ " + shown.transit4->to_string() + " }'");
  if (shown.transit6) out.push_back(start + " transit6 '{ " + shown.transit6->to_string() + " }'");
  return out;
}

Lines lines(const Guard* before, const Guard* after, const std::string&) {
  const Guard& shown = shown_of(before, after);
  return {std::string("nft ") + (after != nullptr ? "add" : "delete") + " element inet " +
          shown.table + (shown.family == base::Family::V4 ? " guarded4" : " guarded6") + " '{ \"" +
          shown.link + "\" }'"};
}

Lines lines(const PortForward* before, const PortForward* after, const std::string&) {
  const auto change = [](const char* verb, const PortForward& forward, bool with_target) {
    return in(forward.netns) + "nft " + verb + " element inet " + forward.table + " " +
           forward.map() + " '{ " + forward.key_text() +
           (with_target ? " : " + forward.target_text() : "") + " }'";
  };
  Lines out;
  if (before != nullptr) out.push_back(change("delete", *before, false));
  if (after != nullptr) out.push_back(change("add", *after, true));
  return out;
}

Lines lines(const PolicyFilter* before, const PolicyFilter* after, const std::string&) {
  const PolicyFilter& shown = shown_of(before, after);
  if (after == nullptr) return {in(shown.netns) + "nft delete table inet " + kPolicyTable};
  const bool whole = before == nullptr || before->text != after->text;
  std::string script = whole ? after->text : "";
  script += policy_script(whole ? model::PolicyTable{} : before->table, after->table);
  return {nft_script(shown.netns, before != nullptr && whole ? kPolicyTable : "", script)};
}

}  // namespace

std::vector<std::string> commands(const Fact* before, const Fact* after,
                                  const std::string& instance) {
  if (before == nullptr && after == nullptr) return {};
  return std::visit(
      [&]<typename T>(const T&) {
        return lines(before == nullptr ? nullptr : std::get_if<T>(before),
                     after == nullptr ? nullptr : std::get_if<T>(after), instance);
      },
      after != nullptr ? *after : *before);
}

}  // namespace warren::plan
