// One dump collects what belongs to the addresses, in both directions and both families; then each
// is deleted. Walking the kernel's whole table is what costs (milliseconds for its usual size,
// however few entries it holds), so there is exactly one walk. Nothing is deleted during the walk:
// entries that exist throughout it are all seen.
#include "hostnet/conntrack.hpp"

#include <arpa/inet.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace warren::hostnet {

namespace {

struct Close {
  void operator()(nfct_handle* handle) const { nfct_close(handle); }
};
using Handle = std::unique_ptr<nfct_handle, Close>;

struct Destroy {
  void operator()(nf_conntrack* entry) const { nfct_destroy(entry); }
};
using Entry = std::unique_ptr<nf_conntrack, Destroy>;

struct Walk {
  std::function<bool(const nf_conntrack*)> wanted;
  std::vector<Entry> found;
  bool out_of_memory = false;
};

bool takes_part(const nf_conntrack* entry, const std::vector<base::IpAddress>& addresses) {
  constexpr std::array kAttributes4 = {ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV4_DST, ATTR_REPL_IPV4_SRC,
                                       ATTR_REPL_IPV4_DST};
  constexpr std::array kAttributes6 = {ATTR_ORIG_IPV6_SRC, ATTR_ORIG_IPV6_DST, ATTR_REPL_IPV6_SRC,
                                       ATTR_REPL_IPV6_DST};
  const bool v4 = nfct_get_attr_u8(entry, ATTR_ORIG_L3PROTO) == AF_INET;
  return std::ranges::any_of(v4 ? kAttributes4 : kAttributes6, [&](nf_conntrack_attr attribute) {
    const auto* bytes = static_cast<const std::uint8_t*>(nfct_get_attr(entry, attribute));
    if (bytes == nullptr) return false;
    const auto address = base::IpAddress::from_bytes({bytes, v4 ? 4U : 16U});
    return address && std::ranges::find(addresses, *address) != addresses.end();
  });
}

int on_entry(nf_conntrack_msg_type, nf_conntrack* entry, void* context) {
  Walk& walk = *static_cast<Walk*>(context);
  if (!walk.wanted(entry)) return NFCT_CB_CONTINUE;
  Entry copy(nfct_clone(entry));
  walk.out_of_memory = walk.out_of_memory || !copy;
  if (copy) walk.found.push_back(std::move(copy));
  return NFCT_CB_CONTINUE;
}

std::optional<base::IpAddress> address_of(const nf_conntrack* entry, nf_conntrack_attr v4,
                                          nf_conntrack_attr v6) {
  const bool is_v4 = nfct_get_attr_u8(entry, ATTR_ORIG_L3PROTO) == AF_INET;
  const auto* bytes = static_cast<const std::uint8_t*>(nfct_get_attr(entry, is_v4 ? v4 : v6));
  if (bytes == nullptr) return std::nullopt;
  return base::IpAddress::from_bytes({bytes, is_v4 ? 4U : 16U});
}

std::optional<base::IpAddress> answering_address(const nf_conntrack* entry) {
  return address_of(entry, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC);
}

std::optional<TrackedConnection> to_connection(const nf_conntrack* entry) {
  const auto from = address_of(entry, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC);
  const auto to = answering_address(entry);
  if (!from || !to) return std::nullopt;
  const std::uint8_t protocol = nfct_get_attr_u8(entry, ATTR_ORIG_L4PROTO);
  const bool has_ports = nfct_attr_is_set(entry, ATTR_REPL_PORT_SRC) != 0;
  return TrackedConnection{
      .from = *from,
      .to = *to,
      .protocol = protocol,
      .port = has_ports ? ntohs(nfct_get_attr_u16(entry, ATTR_REPL_PORT_SRC)) : std::uint16_t{0}};
}

bool was_translated_to(const nf_conntrack* entry, const ForwardTarget& target) {
  const int number = target.protocol == model::Protocol::Tcp ? IPPROTO_TCP : IPPROTO_UDP;
  return (nfct_get_attr_u32(entry, ATTR_STATUS) & IPS_DST_NAT) != 0 &&
         nfct_get_attr_u8(entry, ATTR_ORIG_L4PROTO) == number &&
         ntohs(nfct_get_attr_u16(entry, ATTR_REPL_PORT_SRC)) == target.port &&
         answering_address(entry) == target.address;
}

/// Another descriptor of the socket, so that closing the handle does not close it.
base::Status keep_open(nfct_handle* handle, std::vector<os::Fd>& spent) {
  os::Fd borrowed(nfct_fd(handle));
  auto kept = borrowed.duplicate();
  static_cast<void>(borrowed.release());
  if (!kept) return std::move(kept).error();
  spent.push_back(std::move(*kept));
  return {};
}

base::Result<std::size_t> flush(std::function<bool(const nf_conntrack*)> wanted,
                                std::vector<os::Fd>* spent = nullptr) {
  const Handle handle(nfct_open(CONNTRACK, 0));
  if (!handle) return base::os_error("open connection tracking");
  if (spent != nullptr) WARREN_TRY(keep_open(handle.get(), *spent));
  Walk walk{.wanted = std::move(wanted), .found = {}};
  nfct_callback_register(handle.get(), NFCT_T_ALL, on_entry, &walk);
  const std::uint32_t every_family = AF_UNSPEC;
  if (nfct_query(handle.get(), NFCT_Q_DUMP, &every_family) != 0)
    return base::os_error("list tracked connections");
  nfct_callback_unregister(handle.get());
  if (walk.out_of_memory) return base::os_error("list tracked connections", ENOMEM);
  for (const Entry& entry : walk.found) {
    // One that has ended by itself meanwhile is gone as well.
    if (nfct_query(handle.get(), NFCT_Q_DESTROY, entry.get()) != 0 && errno != ENOENT)
      return base::os_error("delete a tracked connection");
  }
  return walk.found.size();
}

}  // namespace

base::Result<std::size_t> flush_connections(const std::vector<base::IpAddress>& addresses,
                                            std::vector<os::Fd>& spent) {
  return flush([&](const nf_conntrack* entry) { return takes_part(entry, addresses); }, &spent);
}

base::Result<std::size_t> flush_forwarded(const std::vector<ForwardTarget>& targets) {
  return flush([&](const nf_conntrack* entry) {
    return std::ranges::any_of(
        targets, [&](const ForwardTarget& target) { return was_translated_to(entry, target); });
  });
}

base::Result<std::size_t> flush_denied(
    const std::function<bool(const TrackedConnection&)>& is_denied) {
  return flush([&](const nf_conntrack* entry) {
    const auto connection = to_connection(entry);
    return connection && is_denied(*connection);
  });
}

}  // namespace warren::hostnet
