// One dump per family on one handle; what matches is deleted through a second handle while the dump
// runs. The kernel may skip or repeat entries of a table that changes during a dump, so the pass is
// repeated until one finds nothing, kPasses times at most.
#include "hostnet/conntrack.hpp"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace warren::hostnet {

namespace {

constexpr int kPasses = 4;

struct Close {
  void operator()(nfct_handle* handle) const { nfct_close(handle); }
};
using Handle = std::unique_ptr<nfct_handle, Close>;

struct Pass {
  const std::vector<base::IpAddress>& addresses;
  nfct_handle* deleter;
  base::Family family;
  std::size_t deleted = 0;
  int failure = 0;
};

bool takes_part(const nf_conntrack* entry, const Pass& pass) {
  constexpr std::array kAttributes4 = {ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV4_DST, ATTR_REPL_IPV4_SRC,
                                       ATTR_REPL_IPV4_DST};
  constexpr std::array kAttributes6 = {ATTR_ORIG_IPV6_SRC, ATTR_ORIG_IPV6_DST, ATTR_REPL_IPV6_SRC,
                                       ATTR_REPL_IPV6_DST};
  const bool v4 = pass.family == base::Family::V4;
  return std::ranges::any_of(v4 ? kAttributes4 : kAttributes6, [&](nf_conntrack_attr attribute) {
    const auto* bytes = static_cast<const std::uint8_t*>(nfct_get_attr(entry, attribute));
    if (bytes == nullptr) return false;
    const auto address = base::IpAddress::from_bytes({bytes, v4 ? 4U : 16U});
    return address && std::ranges::find(pass.addresses, *address) != pass.addresses.end();
  });
}

int on_entry(nf_conntrack_msg_type, nf_conntrack* entry, void* context) {
  Pass& pass = *static_cast<Pass*>(context);
  if (!takes_part(entry, pass)) return NFCT_CB_CONTINUE;
  if (nfct_query(pass.deleter, NFCT_Q_DESTROY, entry) == 0) {
    ++pass.deleted;
  } else if (errno != ENOENT) {
    pass.failure = errno;
  }
  return NFCT_CB_CONTINUE;
}

base::Result<std::size_t> run_pass(const std::vector<base::IpAddress>& addresses,
                                   base::Family family) {
  const Handle reader(nfct_open(CONNTRACK, 0));
  const Handle deleter(nfct_open(CONNTRACK, 0));
  if (!reader || !deleter) return base::os_error("open connection tracking");
  Pass pass{.addresses = addresses, .deleter = deleter.get(), .family = family};
  nfct_callback_register(reader.get(), NFCT_T_ALL, on_entry, &pass);
  const std::uint32_t number = family == base::Family::V4 ? AF_INET : AF_INET6;
  if (nfct_query(reader.get(), NFCT_Q_DUMP, &number) != 0)
    return base::os_error("list tracked connections");
  if (pass.failure != 0) return base::os_error("delete a tracked connection", pass.failure);
  return pass.deleted;
}

}  // namespace

base::Result<std::size_t> flush_connections(const std::vector<base::IpAddress>& addresses) {
  std::size_t total = 0;
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    const auto is_family = [&](const auto& address) { return address.family() == family; };
    if (std::ranges::none_of(addresses, is_family)) continue;
    for (int pass = 0; pass < kPasses; ++pass) {
      WARREN_TRY_ASSIGN(const std::size_t deleted, run_pass(addresses, family));
      total += deleted;
      if (deleted == 0) break;
    }
  }
  return total;
}

}  // namespace warren::hostnet
