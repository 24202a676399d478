// Before it changes anything libnftables asks the kernel for the table and everything in its maps:
// with ten thousand members that is milliseconds for one element, while a revoked member waits to
// be out. So single elements are written as the netlink messages that they are.
//
// Source: linux/netfilter/nf_tables.h, nfnetlink.h. A batch is a transaction; the kernel works
// through it before the call that sends it returns, so its answers are there by then.
#include "hostnet/nft_elements.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/assert.hpp"
#include "os/fd.hpp"
#include "os/netlink_message.hpp"

namespace warren::hostnet {

namespace {

using os::NetlinkRequest;

constexpr const char* kWhat = "change elements of nftables";
constexpr std::size_t kAnswerBytes = 65'536;

nfgenmsg header(std::uint8_t family, std::uint16_t resource) {
  return {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
}

constexpr std::uint16_t message_type(std::uint16_t message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

base::Bytes bytes_of(const model::PolicyGroup& mark) {
  return {reinterpret_cast<const std::uint8_t*>(&mark), sizeof mark};
}

void append(std::vector<std::uint8_t>& out, base::Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void add_element(NetlinkRequest& list, const model::GroupMember& member, bool with_group) {
  constexpr std::uint16_t kNested = NLA_F_NESTED;
  list.nested(NFTA_LIST_ELEM | kNested, [&](NetlinkRequest& element) {
    element.nested(NFTA_SET_ELEM_KEY | kNested, [&](NetlinkRequest& key) {
      key.attribute(NFTA_DATA_VALUE, member.address.bytes());
    });
    if (!with_group) return;
    element.nested(NFTA_SET_ELEM_DATA | kNested, [&](NetlinkRequest& data) {
      data.attribute(NFTA_DATA_VALUE, bytes_of(member.group));
    });
  });
}

/// One message for all members of a family; nothing where there are none.
void append_message(std::vector<std::uint8_t>& batch, std::uint32_t& sequence, const char* table,
                    base::Family family, const std::vector<model::GroupMember>& members,
                    bool adds) {
  bool any = false;
  const auto type = message_type(adds ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
  const int flags = NLM_F_REQUEST | NLM_F_ACK | (adds ? NLM_F_CREATE : 0);
  NetlinkRequest message(type, static_cast<std::uint16_t>(flags));
  message.body(header(NFPROTO_INET, 0));
  message.text(NFTA_SET_ELEM_LIST_TABLE, table);
  message.text(NFTA_SET_ELEM_LIST_SET, family == base::Family::V4 ? "groups4" : "groups6");
  message.nested(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, [&](NetlinkRequest& list) {
    for (const model::GroupMember& member : members) {
      if (member.address.family() != family) continue;
      any = true;
      add_element(list, member, adds);
    }
  });
  if (any) append(batch, message.finish(++sequence));
}

void append_border(std::vector<std::uint8_t>& batch, std::uint32_t& sequence, std::uint16_t type) {
  NetlinkRequest border(type, NLM_F_REQUEST);
  border.body(header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  append(batch, border.finish(++sequence));
}

/// The first refusal among the answers that wait.
base::Status read_answers(const os::Fd& socket) {
  std::vector<std::uint8_t> answer(kAnswerBytes);
  int refused = 0;
  for (;;) {
    const ssize_t size = recv(socket.get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size < 0) return base::os_error(kWhat);
    os::for_each_message(base::Bytes(answer).first(static_cast<std::size_t>(size)),
                         [&](const os::NetlinkMessage& message) {
                           if (message.type != NLMSG_ERROR) return;
                           const auto error = os::body_of<nlmsgerr>(message.payload);
                           if (error && error->error != 0 && refused == 0) refused = -error->error;
                         });
  }
  if (refused != 0) return base::os_error(kWhat, refused);
  return {};
}

}  // namespace

base::Status change_elements(const char* table, const std::vector<model::GroupMember>& gone,
                             const std::vector<model::GroupMember>& come,
                             std::vector<os::Fd>& spent) {
  WARREN_ASSERT(gone.size() + come.size() <= kMaxElementsAtOnce);
  os::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) return base::os_error(kWhat);
  std::vector<std::uint8_t> batch;
  std::uint32_t sequence = 0;
  append_border(batch, sequence, NFNL_MSG_BATCH_BEGIN);
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    // Adding one that is there is no error, deleting one that is not there is: added first.
    append_message(batch, sequence, table, family, gone, true);
    append_message(batch, sequence, table, family, gone, false);
    append_message(batch, sequence, table, family, come, true);
  }
  append_border(batch, sequence, NFNL_MSG_BATCH_END);
  const sockaddr_nl kernel{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  const ssize_t sent = sendto(socket.get(), batch.data(), batch.size(), 0,
                              reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent < 0) return base::os_error(kWhat);
  const base::Status done = read_answers(socket);
  spent.push_back(std::move(socket));
  return done;
}

}  // namespace warren::hostnet
