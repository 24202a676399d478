#include <gtest/gtest.h>

#include <random>

#include "model/network.hpp"

namespace warren::model {
namespace {

TokenText sample(std::string at = "gw.example.org:51800") {
  TokenText token;
  token.enrol_at = std::move(at);
  for (std::size_t i = 0; i < token.pin.size(); ++i) token.pin[i] = static_cast<std::uint8_t>(i);
  for (std::size_t i = 0; i < token.secret.size(); ++i) {
    token.secret[i] = static_cast<std::uint8_t>(0xf0 + i);
  }
  return token;
}

TEST(TokenText, ReadsBackWhatItWrites) {
  for (const char* at : {"gw.example.org:51800", "192.0.2.1:1", "[2001:db8::1]:65535"}) {
    const TokenText token = sample(at);
    const auto parsed = TokenText::parse(token.write());
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->enrol_at, token.enrol_at);
    EXPECT_EQ(parsed->pin, token.pin);
    EXPECT_EQ(parsed->secret, token.secret);
  }
}

TEST(TokenText, HasItsDocumentedForm) {
  // Fixed for ever: tokens travel between versions.
  EXPECT_EQ(
      sample().write(),
      "warren1AQAUZ3cuZXhhbXBsZS5vcmc6NTE4MDAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH_Dx8vP09"
      "fb3-Pn6-_z9_v8mVf9V");
}

TEST(TokenText, ForgivesBlanksAroundIt) {
  EXPECT_TRUE(TokenText::parse("  " + sample().write() + "\r\n"));
}

TEST(TokenText, RefusesEveryTruncation) {
  const std::string text = sample().write();
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto parsed = TokenText::parse(text.substr(0, size));
    ASSERT_FALSE(parsed) << size;
    EXPECT_EQ(parsed.error().kind, base::ErrorKind::Invalid);
    EXPECT_FALSE(parsed.error().hint.empty());
  }
}

TEST(TokenText, RefusesEverySingleMistypedCharacter) {
  const std::string text = sample().write();
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char c : std::string_view("AZaz09-_= \n")) {
      if (text[at] == c) continue;
      std::string wrong = text;
      wrong[at] = c;
      if (at == text.size() - 1 && (c == ' ' || c == '\n')) continue;  // a truncation, seen above
      ASSERT_FALSE(TokenText::parse(wrong)) << "position " << at << " character " << c;
    }
  }
}

TEST(TokenText, RefusesSwappedNeighbours) {
  const std::string text = sample().write();
  for (std::size_t at = 0; at + 1 < text.size(); ++at) {
    std::string wrong = text;
    std::swap(wrong[at], wrong[at + 1]);
    if (wrong == text) continue;
    ASSERT_FALSE(TokenText::parse(wrong)) << at;
  }
}

TEST(TokenText, RefusesAnEndpointThatIsNone) {
  for (const char* at : {"", "gateway", "gateway:", "gateway:0", "gateway:70000", ":51800",
                         "gate way:1", "gate\nway:1"}) {
    EXPECT_FALSE(TokenText::parse(sample(at).write())) << at;
  }
}

TEST(TokenText, SurvivesRandomText) {
  std::mt19937 random(99);
  for (int round = 0; round < 20000; ++round) {
    std::string text = "warren1";
    const std::size_t size = random() % 120;
    for (std::size_t i = 0; i < size; ++i) {
      text += round % 2 == 0 ? "ABCDefgh0123-_"[random() % 14] : static_cast<char>(random() % 256);
    }
    EXPECT_FALSE(TokenText::parse(text));
  }
  EXPECT_FALSE(TokenText::parse("warren1" + std::string(1 << 20, 'A')));
}

}  // namespace
}  // namespace warren::model
