#include "os/netlink_message.hpp"

#include <algorithm>

namespace warren::os {

NetlinkRequest::NetlinkRequest(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  raw({reinterpret_cast<const std::uint8_t*>(&header), sizeof header});
}

NetlinkRequest& NetlinkRequest::raw(base::Bytes bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  buffer_.resize(NLMSG_ALIGN(buffer_.size()));
  return *this;
}

NetlinkRequest& NetlinkRequest::attribute(std::uint16_t type, base::Bytes value) {
  nlattr header{};
  header.nla_type = type;
  header.nla_len = static_cast<std::uint16_t>(sizeof header + value.size());
  raw({reinterpret_cast<const std::uint8_t*>(&header), sizeof header});
  return raw(value);
}

NetlinkRequest& NetlinkRequest::text(std::uint16_t type, std::string_view value) {
  std::vector<std::uint8_t> bytes(value.begin(), value.end());
  bytes.push_back(0);
  return attribute(type, bytes);
}

NetlinkRequest& NetlinkRequest::u32(std::uint16_t type, std::uint32_t value) {
  return attribute(type, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
}

NetlinkRequest& NetlinkRequest::nested(std::uint16_t type,
                                       const std::function<void(NetlinkRequest&)>& fill) {
  const std::size_t start = buffer_.size();
  attribute(type, {});
  fill(*this);
  const auto length = static_cast<std::uint16_t>(buffer_.size() - start);
  std::memcpy(buffer_.data() + start, &length, sizeof length);
  return *this;
}

base::Bytes NetlinkRequest::finish(std::uint32_t sequence) {
  nlmsghdr header{};
  std::memcpy(&header, buffer_.data(), sizeof header);
  header.nlmsg_len = static_cast<std::uint32_t>(buffer_.size());
  header.nlmsg_seq = sequence;
  std::memcpy(buffer_.data(), &header, sizeof header);
  return buffer_;
}

bool for_each_message(base::Bytes datagram,
                      const std::function<void(const NetlinkMessage&)>& each) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header{};
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > datagram.size()) return false;
    each(NetlinkMessage{
        .type = header.nlmsg_type,
        .flags = header.nlmsg_flags,
        .sequence = header.nlmsg_seq,
        .payload = datagram.subspan(sizeof header, header.nlmsg_len - sizeof header)});
    const std::size_t step = NLMSG_ALIGN(header.nlmsg_len);
    datagram = datagram.subspan(std::min<std::size_t>(step, datagram.size()));
  }
  return datagram.empty();
}

void for_each_attribute(base::Bytes attributes,
                        const std::function<void(std::uint16_t, base::Bytes)>& each) {
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr header{};
    std::memcpy(&header, attributes.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > attributes.size()) return;
    each(static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
         attributes.subspan(sizeof header, header.nla_len - sizeof header));
    const std::size_t step = NLA_ALIGN(header.nla_len);
    attributes = attributes.subspan(std::min<std::size_t>(step, attributes.size()));
  }
}

std::uint32_t u32_of(base::Bytes value) {
  std::uint32_t out = 0;
  if (value.size() == sizeof out) std::memcpy(&out, value.data(), sizeof out);
  return out;
}

std::string text_of(base::Bytes value) {
  const auto end = std::find(value.begin(), value.end(), std::uint8_t{0});
  return {value.begin(), end};
}

}  // namespace warren::os
