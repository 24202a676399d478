#include "model/service.hpp"

#include <gtest/gtest.h>

#include "model/yaml_text.hpp"

namespace warren::model {
namespace {

PortRange of(std::uint8_t protocol, std::uint16_t first, std::uint16_t last) {
  return {.first_protocol = protocol,
          .last_protocol = protocol,
          .first_port = first,
          .last_port = last};
}

TEST(ParsePorts, WhatPeopleWrite) {
  for (const char* text : {"tcp 1883", "tcp/1883", " tcp 1883 ", "tcp  1883", "tcp 1883-1883"}) {
    EXPECT_EQ(parse_ports(text), std::vector{of(kTcp, 1883, 1883)}) << text;
  }
  for (const char* text : {"udp/8000-8010", "udp 8000 - 8010", "udp 8000 -8010"}) {
    EXPECT_EQ(parse_ports(text), std::vector{of(kUdp, 8000, 8010)}) << text;
  }
  EXPECT_EQ(parse_ports("tcp"), std::vector{of(kTcp, 0, 65535)});
  EXPECT_EQ(parse_ports("icmp"), (std::vector{of(kIcmp, 0, 65535), of(kIcmp6, 0, 65535)}));
  EXPECT_TRUE(parse_ports("any").at(0).is_everything());
}

TEST(ParsePorts, AnythingElseOpensNothing) {
  for (const char* text :
       {"", " ", "tcp/", "tcp 0", "tcp 65536", "tcp 5-4", "tcp 1-", "tcp -1", "tcp 1-2-3",
        "tcp 1,2", "tcp +1", "tcp 0x10", "TCP 22", "sctp 22", "icmp 8", "any 5", "22", "tcp\t22"}) {
    EXPECT_TRUE(parse_ports(text).empty()) << '"' << text << '"';
  }
}

TEST(PortRange, ContainsItsEnds) {
  const PortRange range = of(kTcp, 10, 20);
  EXPECT_TRUE(range.contains(kTcp, 10) && range.contains(kTcp, 20));
  EXPECT_FALSE(range.contains(kTcp, 9) || range.contains(kTcp, 21) || range.contains(kUdp, 15));
}

TEST(YamlText, PartsOfAWordKnowWhereTheyBegin) {
  const Word whole{.text = " tcp 22 ,udp 53,, ", .line = 3, .column = 10};
  const std::vector<Word> parts = split_at_commas(whole);
  ASSERT_EQ(parts.size(), 4U);
  EXPECT_EQ(parts[0].text, "tcp 22");
  EXPECT_EQ(parts[0].column, 11U);
  EXPECT_EQ(parts[1].text, "udp 53");
  EXPECT_EQ(parts[1].column, 19U);
  EXPECT_EQ(parts[2].text, "");
  EXPECT_EQ(parts[3].text, "");
  for (const Word& one : parts) EXPECT_EQ(one.line, 3U);
}

TEST(YamlText, AQuotedWordBeginsBehindItsQuote) {
  const YAML::Node node = YAML::Load("a: 'word'\nb: word\n");
  EXPECT_EQ(word_of(node["a"]).column, 5U);
  EXPECT_EQ(word_of(node["b"]).column, 4U);
  EXPECT_EQ(word_of(node["b"]).line, 2U);
  EXPECT_EQ(word_of(node).text, "") << "of what is no scalar";
}

TEST(YamlText, ErrorsAreShortHoweverLongTheirCause) {
  const Word word{.text = "", .line = 1, .column = 2};
  EXPECT_EQ(at(word, "what").message, "line 1, column 2: what");
  EXPECT_LT(at(word, std::string(100'000, 'x')).message.size(), 300U);
  EXPECT_LT(quoted(std::string(100'000, 'x')).size(), 100U);
}

TEST(YamlText, SuggestsWhatIsNearAndTellsWhatThereIs) {
  EXPECT_EQ(suggestion("brokr", {"node", "broker"}), "did you mean broker?");
  EXPECT_EQ(suggestion("zzzzzzzz", {"node", "broker"}), "known: node, broker");
  EXPECT_EQ(nearest("x", {"y"}), "") << "a word of which nothing would be left is not near";
  EXPECT_EQ(nearest(std::string(100'000, 'x'), {"x"}), "");
}

}  // namespace
}  // namespace warren::model
