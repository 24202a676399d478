// The tree against the library's own, for random documents and for every cut of one.
#include "api/json_tree.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "api/json.hpp"

namespace warren::api {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

constexpr std::size_t kDeepest = 6;

std::string random_text(std::mt19937& random) {
  static constexpr std::array<const char*, 8> kParts = {"a",  "\"",     "\\",     "\n",
                                                        "/u", "\u00e9", "\u20ac", "\U0001f407"};
  std::string out;
  for (auto left = random() % 6; left > 0; --left) out += kParts.at(random() % kParts.size());
  return out;
}

Json random_value(std::mt19937& random, std::size_t depth) {
  switch (random() % (depth < kDeepest ? 8 : 6)) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return -static_cast<std::int64_t>(random());
    case 3:
      return std::uint64_t{random()} << 32;
    case 4:
      return static_cast<double>(random()) / 7;
    case 5:
      return random_text(random);
    case 6: {
      Json list = Json::array();
      for (auto left = random() % 5; left > 0; --left)
        list.push_back(random_value(random, depth + 1));
      return list;
    }
    default: {
      Json object = Json::object();
      for (auto left = random() % 5; left > 0; --left)
        object[random_text(random) + std::to_string(left)] = random_value(random, depth + 1);
      return object;
    }
  }
}

Json random_document(std::mt19937& random) {
  Json out = Json::object();
  for (auto left = random() % 6; left > 0; --left)
    out["key" + std::to_string(left)] = random_value(random, 1);
  return out;
}

TEST(JsonTree, IsWhatTheLibraryItselfReads) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  for (int round = 0; round < 500; ++round) {
    const std::string text = random_document(random).dump(round % 3 == 0 ? 2 : -1);
    const auto tree = parse_tree(text);
    ASSERT_TRUE(tree) << text;
    ASSERT_EQ(tree->dump(), Json::parse(text).dump());
  }
}

TEST(JsonTree, NoPartOfADocumentIsOne) {
  std::mt19937 random(1);
  const std::string text = random_document(random).dump();
  for (std::size_t size = 0; size < text.size(); ++size)
    ASSERT_FALSE(parse_tree(std::string_view(text).substr(0, size))) << size;
  EXPECT_FALSE(parse_tree(text + "1"));
}

TEST(JsonTree, KeysOfOneObjectAloneAreCompared) {
  EXPECT_TRUE(parse_tree(R"({"a":{"a":{"b":1},"b":2},"b":[{"a":1},{"a":1}]})"));
  EXPECT_THAT(parse_tree(R"({"a":{"b":[],"b":1}})").error().message, HasSubstr("\"b\" is given"));
  EXPECT_THAT(parse_tree(R"({"a":{"b":1},"c":2,"a":3})").error().message,
              HasSubstr("\"a\" is given twice"));
}

TEST(JsonTree, SizesAreBounded) {
  std::string crowd = "{\"k\":0";
  for (std::size_t at = 1; at < kMaxKeys; ++at) crowd += ",\"k" + std::to_string(at) + "\":0";
  EXPECT_TRUE(parse_tree(crowd + "}"));
  EXPECT_THAT(parse_tree(crowd + ",\"last\":0}").error().message, HasSubstr("keys"));
  const auto nested = [](std::size_t lists) {
    return "{\"a\":" + std::string(lists, '[') + std::string(lists, ']') + "}";
  };
  EXPECT_TRUE(parse_tree(nested(kMaxDepth - 1)));
  EXPECT_THAT(parse_tree(nested(kMaxDepth)).error().message, HasSubstr("nested too deeply"));
  EXPECT_FALSE(parse_tree("[]"));
  EXPECT_FALSE(parse_tree("7"));
}

}  // namespace
}  // namespace warren::api
