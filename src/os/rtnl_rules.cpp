// Rules of policy routing. Source: linux/fib_rules.h.
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

#include "os/rtnl.hpp"

namespace warren::os {

namespace {

std::uint8_t family_of(base::Family family) {
  return family == base::Family::V4 ? std::uint8_t{AF_INET} : std::uint8_t{AF_INET6};
}

/// nullopt for a family that has no addresses of ours.
std::optional<Rule> parse_rule(const NetlinkMessage& message) {
  const auto header = body_of<fib_rule_hdr>(message.payload);
  if (!header || (header->family != AF_INET && header->family != AF_INET6)) return std::nullopt;
  Rule rule;
  rule.family = header->family == AF_INET ? base::Family::V4 : base::Family::V6;
  rule.table = header->table;
  rule.inverted = (header->flags & FIB_RULE_INVERT) != 0;
  for_each_attribute(attributes_of<fib_rule_hdr>(message.payload),
                     [&](std::uint16_t type, base::Bytes value) {
                       if (type == FRA_PRIORITY) rule.priority = u32_of(value);
                       if (type == FRA_TABLE) rule.table = u32_of(value);
                       if (type == FRA_FWMARK) rule.mark = u32_of(value);
                       if (type == FRA_SUPPRESS_PREFIXLEN)
                         rule.suppresses_default_route = u32_of(value) == 0;
                       if (type == FRA_SPORT_RANGE && value.size() >= sizeof(fib_rule_port_range)) {
                         fib_rule_port_range range{};
                         std::memcpy(&range, value.data(), sizeof range);
                         rule.udp_source_port = range.start;
                       }
                     });
  return rule;
}

}  // namespace

base::Result<std::vector<Rule>> Rtnl::rules() {
  std::vector<Rule> out;
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    fib_rule_hdr header{};
    header.family = family_of(family);
    NetlinkRequest request(RTM_GETRULE, NLM_F_DUMP);
    request.body(header);
    const base::Status listed =
        dump(std::move(request), "list routing rules", [&](const NetlinkMessage& message) {
          if (message.type != RTM_NEWRULE) return;
          if (const auto rule = parse_rule(message); rule && rule->family == family)
            out.push_back(*rule);
        });
    // A kernel without IPv6 has no rules of it.
    if (!listed && family == base::Family::V4) return base::Error(listed.error());
  }
  return out;
}

base::Status Rtnl::change_rule(std::uint16_t type, std::uint16_t flags, const Rule& rule,
                               const std::string& what) {
  fib_rule_hdr header{};
  header.family = family_of(rule.family);
  header.table = rule.table < 256 ? static_cast<std::uint8_t>(rule.table)
                                  : static_cast<std::uint8_t>(RT_TABLE_UNSPEC);
  header.action = FR_ACT_TO_TBL;
  if (rule.inverted) header.flags = FIB_RULE_INVERT;
  NetlinkRequest request(type, flags);
  request.body(header).u32(FRA_PRIORITY, rule.priority).u32(FRA_TABLE, rule.table);
  if (rule.mark != 0) request.u32(FRA_FWMARK, rule.mark).u32(FRA_FWMASK, UINT32_MAX);
  if (rule.suppresses_default_route) request.u32(FRA_SUPPRESS_PREFIXLEN, 0);
  if (rule.udp_source_port != 0) {
    const std::array<std::uint8_t, 1> protocol = {IPPROTO_UDP};
    fib_rule_port_range range{.start = rule.udp_source_port, .end = rule.udp_source_port};
    request.attribute(FRA_IP_PROTO, protocol)
        .attribute(FRA_SPORT_RANGE, {reinterpret_cast<const std::uint8_t*>(&range), sizeof range});
  }
  return transact(std::move(request), what + " " + std::to_string(rule.priority) + " for table " +
                                          std::to_string(rule.table));
}

base::Status Rtnl::add_rule(const Rule& rule) {
  constexpr int kFlags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  return change_rule(RTM_NEWRULE, static_cast<std::uint16_t>(kFlags), rule, "add routing rule");
}

base::Status Rtnl::delete_rule(const Rule& rule) {
  return change_rule(RTM_DELRULE, NLM_F_ACK, rule, "delete routing rule");
}

}  // namespace warren::os
