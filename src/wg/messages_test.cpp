#include "wg/messages.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

using Buffer = std::vector<std::uint8_t>;

Buffer sample(MessageType type) {
  SeededRandom random(7);
  switch (type) {
    case MessageType::Initiation: {
      Initiation message{.sender = 0x04030201};
      random.fill(message.ephemeral.bytes);
      random.fill(message.encrypted_static);
      random.fill(message.encrypted_timestamp);
      random.fill(message.mac1);
      random.fill(message.mac2);
      Buffer out(kInitiationSize);
      write_initiation(message, std::span<std::uint8_t, kInitiationSize>(out));
      return out;
    }
    case MessageType::Response: {
      Response message{.sender = 0x04030201, .receiver = 0x08070605};
      random.fill(message.ephemeral.bytes);
      random.fill(message.encrypted_nothing);
      random.fill(message.mac1);
      Buffer out(kResponseSize);
      write_response(message, std::span<std::uint8_t, kResponseSize>(out));
      return out;
    }
    case MessageType::Cookie: {
      CookieReply message{.receiver = 0x04030201};
      random.fill(message.nonce);
      random.fill(message.encrypted_cookie);
      Buffer out(kCookieSize);
      write_cookie_reply(message, std::span<std::uint8_t, kCookieSize>(out));
      return out;
    }
    case MessageType::Transport: {
      Buffer out(kTransportOverhead + 48);
      write_transport_header({.receiver = 0x04030201, .counter = 0x1122334455667788},
                             std::span(out).first<kTransportHeaderSize>());
      return out;
    }
  }
  return {};
}

int parsers_that_accept(base::Bytes datagram) {
  return int{parse_initiation(datagram).has_value()} + int{parse_response(datagram).has_value()} +
         int{parse_cookie_reply(datagram).has_value()} + int{parse_transport(datagram).has_value()};
}

constexpr MessageType kTypes[] = {MessageType::Initiation, MessageType::Response,
                                  MessageType::Cookie, MessageType::Transport};

TEST(Messages, LayoutIsThePapers) {
  const Buffer initiation = sample(MessageType::Initiation);
  EXPECT_EQ(base::to_hex(base::Bytes(initiation).first(8)), "0100000001020304");
  const auto read = parse_initiation(initiation);
  ASSERT_TRUE(read);
  EXPECT_TRUE(std::equal(read->ephemeral.bytes.begin(), read->ephemeral.bytes.end(),
                         initiation.begin() + 8));
  EXPECT_TRUE(std::equal(read->encrypted_static.begin(), read->encrypted_static.end(),
                         initiation.begin() + 40));
  EXPECT_TRUE(std::equal(read->encrypted_timestamp.begin(), read->encrypted_timestamp.end(),
                         initiation.begin() + 88));
  EXPECT_TRUE(std::equal(read->mac1.begin(), read->mac1.end(), initiation.begin() + 116));
  EXPECT_TRUE(std::equal(read->mac2.begin(), read->mac2.end(), initiation.begin() + 132));

  EXPECT_EQ(base::to_hex(base::Bytes(sample(MessageType::Response)).first(12)),
            "020000000102030405060708");
  EXPECT_EQ(base::to_hex(base::Bytes(sample(MessageType::Cookie)).first(8)), "0300000001020304");
  EXPECT_EQ(base::to_hex(base::Bytes(sample(MessageType::Transport)).first(16)),
            "04000000010203048877665544332211");
}

TEST(Messages, WritingWhatWasReadGivesTheSameBytes) {
  const Buffer initiation = sample(MessageType::Initiation);
  Buffer again(kInitiationSize);
  write_initiation(*parse_initiation(initiation), std::span<std::uint8_t, kInitiationSize>(again));
  EXPECT_EQ(again, initiation);
  const Buffer response = sample(MessageType::Response);
  again.resize(kResponseSize);
  write_response(*parse_response(response), std::span<std::uint8_t, kResponseSize>(again));
  EXPECT_EQ(again, response);
  const Buffer cookie = sample(MessageType::Cookie);
  again.resize(kCookieSize);
  write_cookie_reply(*parse_cookie_reply(cookie), std::span<std::uint8_t, kCookieSize>(again));
  EXPECT_EQ(again, cookie);
}

TEST(Messages, EveryTruncationAndExtensionIsRefused) {
  for (const MessageType type : kTypes) {
    const Buffer whole = sample(type);
    EXPECT_EQ(message_type(whole), type);
    EXPECT_EQ(parsers_that_accept(whole), 1);
    const std::size_t least = type == MessageType::Transport ? kTransportOverhead : whole.size();
    for (std::size_t size = 0; size < least; ++size) {
      EXPECT_EQ(parsers_that_accept(base::Bytes(whole).first(size)), 0) << size;
    }
    if (type == MessageType::Transport) continue;
    Buffer longer = whole;
    longer.push_back(0);
    EXPECT_EQ(parsers_that_accept(longer), 0);
  }
}

TEST(Messages, ReservedBytesAndUnknownTypesAreRefused) {
  for (const MessageType type : kTypes) {
    for (std::size_t byte = 1; byte < 4; ++byte) {
      Buffer damaged = sample(type);
      damaged[byte] = 1;
      EXPECT_EQ(parsers_that_accept(damaged), 0);
    }
    for (const int other : {0, 5, 255}) {
      Buffer damaged = sample(type);
      damaged[0] = static_cast<std::uint8_t>(other);
      EXPECT_EQ(parsers_that_accept(damaged), 0);
    }
  }
}

}  // namespace
}  // namespace warren::wg
