// Source: linux/netfilter/nf_tables.h (NFT_MSG_GETGEN). The generation is read before the rules:
// where they change in between, the next look finds another one and reads again.
#include "hostnet/rule_memory.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "os/fd.hpp"
#include "os/netlink_message.hpp"

namespace warren::hostnet {

namespace {

constexpr std::uint16_t message_type(std::uint16_t message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

std::optional<std::uint32_t> generation_in(base::Bytes answer) {
  std::optional<std::uint32_t> found;
  os::for_each_message(answer, [&](const os::NetlinkMessage& message) {
    if (message.type != message_type(NFT_MSG_NEWGEN)) return;
    os::for_each_attribute(os::attributes_of<nfgenmsg>(message.payload),
                           [&](std::uint16_t type, base::Bytes value) {
                             if (type == NFTA_GEN_ID) found = ntohl(os::u32_of(value));
                           });
  });
  return found;
}

/// Of the calling thread's namespace; nullopt where the kernel does not tell.
std::optional<std::uint32_t> rule_generation() {
  const os::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) return std::nullopt;
  os::NetlinkRequest request(message_type(NFT_MSG_GETGEN), NLM_F_REQUEST);
  request.body(nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = 0});
  const base::Bytes bytes = request.finish(1);
  const sockaddr_nl kernel{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  if (sendto(socket.get(), bytes.data(), bytes.size(), 0,
             reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
    return std::nullopt;
  }
  std::array<std::uint8_t, 4096> answer{};
  const ssize_t size = recv(socket.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  if (size <= 0) return std::nullopt;
  return generation_in(base::Bytes(answer).first(static_cast<std::size_t>(size)));
}

std::optional<std::uint64_t> own_namespace() {
  struct stat space{};
  if (stat("/proc/thread-self/ns/net", &space) < 0) return std::nullopt;
  return space.st_ino;
}

}  // namespace

base::Status RuleMemory::recall(const std::string& netns, const Read& read,
                                std::vector<plan::Fact>& out) {
  const auto space = own_namespace();
  const auto generation = rule_generation();
  const auto known = known_.find(netns);
  const bool same = known != known_.end() && space && generation && known->second.space == *space &&
                    known->second.generation == *generation;
  if (!same) {
    if (known != known_.end()) known_.erase(known);
    Remembered fresh;
    WARREN_TRY(read(fresh.facts));
    out.insert(out.end(), fresh.facts.begin(), fresh.facts.end());
    if (!space || !generation) return {};
    fresh.space = *space;
    fresh.generation = *generation;
    known_.emplace(netns, std::move(fresh));
    return {};
  }
  out.insert(out.end(), known->second.facts.begin(), known->second.facts.end());
  return {};
}

void RuleMemory::keep_only(const std::vector<std::string>& namespaces) {
  std::erase_if(known_, [&](const auto& entry) {
    return !std::ranges::binary_search(namespaces, entry.first);
  });
}

}  // namespace warren::hostnet
