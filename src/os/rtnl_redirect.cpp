// Packets of one link that come in on another: a filter of traffic control that matches everything
// and hands it over (act_mirred). It is in front of packet filters and of routing, so the packet is
// the other link's to all of them.
//
// Source: linux/pkt_cls.h, linux/pkt_sched.h, linux/tc_act/tc_mirred.h; tc-u32(8), tc-mirred(8).
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>

#include <array>
#include <cstddef>

#include "os/rtnl.hpp"

namespace warren::os {

namespace {

constexpr std::uint32_t kIngress = 0xffff0000;
constexpr std::uint32_t kPriority = 1;
constexpr std::uint16_t kFirstAction = 1;

template <typename T>
base::Bytes bytes_of(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

tcmsg head(std::uint32_t link, std::uint32_t parent) {
  tcmsg out{};
  out.tcm_family = AF_UNSPEC;
  out.tcm_ifindex = static_cast<int>(link);
  out.tcm_parent = parent;
  return out;
}

/// A selector with one key, which every packet has: no bit of its first word is looked at.
std::array<std::uint8_t, sizeof(tc_u32_sel) + sizeof(tc_u32_key)> everything() {
  // Written in place: the structure ends in an array of no size, which C++ has no value of.
  std::array<std::uint8_t, sizeof(tc_u32_sel) + sizeof(tc_u32_key)> out{};
  out[offsetof(tc_u32_sel, flags)] = TC_U32_TERMINAL;
  out[offsetof(tc_u32_sel, nkeys)] = 1;
  return out;
}

void add_redirection(NetlinkRequest& actions, std::uint32_t to) {
  tc_mirred redirection{};
  redirection.action = TC_ACT_STOLEN;
  redirection.eaction = TCA_INGRESS_REDIR;
  redirection.ifindex = to;
  actions.nested(kFirstAction, [&](NetlinkRequest& action) {
    action.text(TCA_ACT_KIND, "mirred");
    action.nested(TCA_ACT_OPTIONS, [&](NetlinkRequest& options) {
      options.attribute(TCA_MIRRED_PARMS, bytes_of(redirection));
    });
  });
}

}  // namespace

base::Status Rtnl::redirect_incoming(const std::string& name, std::uint32_t to) {
  const std::string what = "redirect what comes in on " + name;
  auto on = link(name);
  if (!on) return std::move(on).within(what).error();
  constexpr int kFlags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  NetlinkRequest discipline(RTM_NEWQDISC, static_cast<std::uint16_t>(kFlags));
  tcmsg place = head(on->index, TC_H_INGRESS);
  place.tcm_handle = kIngress;
  discipline.body(place).text(TCA_KIND, "ingress");
  WARREN_TRY(transact(std::move(discipline), what));
  NetlinkRequest filter(RTM_NEWTFILTER, static_cast<std::uint16_t>(kFlags));
  place = head(on->index, kIngress);
  place.tcm_info = kPriority << 16 | htons(ETH_P_ALL);
  filter.body(place).text(TCA_KIND, "u32");
  filter.nested(TCA_OPTIONS, [&](NetlinkRequest& options) {
    options.attribute(TCA_U32_SEL, everything());
    options.nested(TCA_U32_ACT, [&](NetlinkRequest& actions) { add_redirection(actions, to); });
  });
  return transact(std::move(filter), what);
}

}  // namespace warren::os
