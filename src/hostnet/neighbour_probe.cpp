// One packet socket on the link sends the questions and sees every frame that comes in, so that an
// answer is seen whether it is sent to us, to everybody (an announcement) or to somebody else who
// asked. Whoever asks for an address without having one, as we do, has it not yet: two that want
// the same one at the same time do not see each other.
#include "hostnet/neighbour_probe.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <set>

#include "base/bytes.hpp"
#include "os/clock.hpp"
#include "os/fd.hpp"

namespace warren::hostnet {

namespace {

constexpr std::size_t kEthernet = 14;
constexpr std::size_t kArp = 28;
constexpr std::size_t kIp6 = 40;
constexpr std::size_t kSolicitation = 24;
constexpr std::uint8_t kIcmp6 = 58;
constexpr std::uint8_t kSolicit = 135;
constexpr std::uint8_t kAdvertise = 136;
constexpr std::uint16_t kArpReply = 2;
/// Frames sent without a pause; a queue takes that many.
constexpr std::size_t kBurst = 256;

std::uint16_t checksum(base::Bytes bytes) {
  std::uint32_t sum = 0;
  for (std::size_t at = 0; at + 1 < bytes.size(); at += 2)
    sum += (std::uint32_t{bytes[at]} << 8) + bytes[at + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::vector<std::uint8_t> arp_question(const os::MacAddress& from, const base::IpAddress& to) {
  std::vector<std::uint8_t> out(kEthernet + kArp);
  const os::MacAddress everybody{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  base::ByteWriter(out)
      .bytes(everybody)
      .bytes(from)
      .u16_be(ETH_P_ARP)
      .u16_be(1)  // Ethernet
      .u16_be(ETH_P_IP)
      .u8(6)
      .u8(4)
      .u16_be(1)  // a request
      .bytes(from)
      .u32_be(0)  // who has no address yet
      .bytes(os::MacAddress{})
      .bytes(to.bytes());
  return out;
}

std::vector<std::uint8_t> solicitation(const os::MacAddress& from, const base::IpAddress& to) {
  const base::Bytes target = to.bytes();
  std::array<std::uint8_t, 16> group{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  std::ranges::copy(target.subspan(13), group.begin() + 13);
  const os::MacAddress wire{0x33, 0x33, group[12], group[13], group[14], group[15]};
  std::vector<std::uint8_t> out(kEthernet + kIp6 + kSolicitation);
  base::ByteWriter(out)
      .bytes(wire)
      .bytes(from)
      .u16_be(ETH_P_IPV6)
      .u32_be(0x60000000)
      .u16_be(kSolicitation)
      .u8(kIcmp6)
      .u8(255)
      .bytes(std::array<std::uint8_t, 16>{})  // the unspecified address
      .bytes(group)
      .u8(kSolicit)
      .u8(0)
      .u16_be(0)
      .u32_be(0)
      .bytes(target);
  std::vector<std::uint8_t> covered(out.begin() + kEthernet + 8, out.end());
  covered.insert(covered.end(), {0, 0, 0, kSolicitation, 0, 0, 0, kIcmp6});
  base::ByteWriter(std::span(out).subspan(kEthernet + kIp6 + 2)).u16_be(checksum(covered));
  return out;
}

os::MacAddress mac_at(base::Bytes frame, std::size_t at) {
  os::MacAddress out{};
  std::ranges::copy(frame.subspan(at, out.size()), out.begin());
  return out;
}

base::Result<os::Fd> open_on(const os::Link& link) {
  os::Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)));
  if (!socket) return base::os_error("ask on " + link.name + " who has an address");
  sockaddr_ll here{};
  here.sll_family = AF_PACKET;
  here.sll_protocol = htons(ETH_P_ALL);
  here.sll_ifindex = static_cast<int>(link.index);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0)
    return base::os_error("ask on " + link.name + " who has an address");
  // Advertisements go to all nodes, to whom a host without IPv6 does not listen.
  packet_mreq all_nodes{};
  all_nodes.mr_ifindex = here.sll_ifindex;
  all_nodes.mr_type = PACKET_MR_MULTICAST;
  constexpr os::MacAddress kAllNodes{0x33, 0x33, 0, 0, 0, 1};
  all_nodes.mr_alen = kAllNodes.size();
  std::ranges::copy(kAllNodes, std::begin(all_nodes.mr_address));
  if (setsockopt(socket.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all_nodes, sizeof all_nodes) !=
      0)
    return base::os_error("listen on " + link.name + " for all nodes");
  return socket;
}

/// Takes in what arrives until `end`.
void listen_until(const os::Fd& socket, base::Instant end, const std::set<base::IpAddress>& wanted,
                  std::vector<NeighbourAnswer>& answers) {
  std::array<std::uint8_t, 2048> buffer{};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - os::now());
    if (left.count() <= 0) return;
    pollfd waiting{.fd = socket.get(), .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, static_cast<int>(left.count())) <= 0) continue;
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    const ssize_t got = recvfrom(socket.get(), buffer.data(), buffer.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (got <= 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
    const auto answer = neighbour_answer(base::Bytes(buffer).first(static_cast<std::size_t>(got)));
    if (!answer || !wanted.contains(answer->address)) continue;
    if (std::ranges::find(answers, answer->address, &NeighbourAnswer::address) == answers.end())
      answers.push_back(*answer);
  }
}

}  // namespace

std::vector<std::uint8_t> neighbour_question(const os::MacAddress& from,
                                             const base::IpAddress& address) {
  return address.is_v4() ? arp_question(from, address) : solicitation(from, address);
}

std::optional<NeighbourAnswer> neighbour_answer(base::Bytes frame) {
  if (frame.size() < kEthernet + kArp) return std::nullopt;
  base::ByteReader header(frame.subspan(12));
  const std::uint16_t type = header.u16_be();
  if (type == ETH_P_ARP) {
    // Of a reply and of an announcement (a request for one's own address) the sender has it.
    const auto sender = base::IpAddress::from_bytes(frame.subspan(kEthernet + 14, 4));
    const auto target = base::IpAddress::from_bytes(frame.subspan(kEthernet + 24, 4));
    const bool replies = frame[kEthernet + 7] == kArpReply && frame[kEthernet + 6] == 0;
    if (!sender || sender->is_unspecified() || (!replies && sender != target)) return std::nullopt;
    return NeighbourAnswer{*sender, mac_at(frame, kEthernet + 8)};
  }
  constexpr std::size_t kTarget = kEthernet + kIp6 + 8;
  if (type != ETH_P_IPV6 || frame.size() < kTarget + 16) return std::nullopt;
  if (frame[kEthernet + 6] != kIcmp6 || frame[kEthernet + kIp6] != kAdvertise) return std::nullopt;
  const auto target = base::IpAddress::from_bytes(frame.subspan(kTarget, 16));
  if (!target) return std::nullopt;
  return NeighbourAnswer{*target, mac_at(frame, 6)};
}

base::Result<std::vector<NeighbourAnswer>> ask_neighbours(
    const os::Link& link, const std::vector<base::IpAddress>& addresses) {
  WARREN_TRY_ASSIGN(const os::Fd socket, open_on(link));
  const std::set<base::IpAddress> wanted(addresses.begin(), addresses.end());
  std::vector<NeighbourAnswer> answers;
  constexpr int kRounds = 2;
  for (int round = 0; round < kRounds; ++round) {
    std::size_t sent = 0;
    for (const base::IpAddress& address : wanted) {
      const auto frame = neighbour_question(link.mac, address);
      if (send(socket.get(), frame.data(), frame.size(), 0) < 0 && errno != EAGAIN &&
          errno != ENOBUFS)
        return base::os_error("ask on " + link.name + " who has " + address.to_string());
      if (++sent % kBurst == 0)
        listen_until(socket, os::now() + std::chrono::milliseconds(5), wanted, answers);
    }
    listen_until(socket, os::now() + kProbeWait / kRounds, wanted, answers);
  }
  return answers;
}

std::string to_text(const os::MacAddress& mac) {
  std::string out;
  for (const std::uint8_t byte : mac)
    out += (out.empty() ? "" : ":") + base::to_hex(base::Bytes(&byte, 1));
  return out;
}

}  // namespace warren::hostnet
