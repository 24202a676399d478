#include "client/event_reader.hpp"

#include <gtest/gtest.h>

#include "api/json.hpp"

namespace warren::client {
namespace {

std::string event(std::uint64_t number) {
  return "id: " + std::to_string(number) +
         "\nevent: change\ndata: " + api::encode(api::Event{.number = number, .kind = "change"}) +
         "\n\n";
}

TEST(EventReader, HearsEachEventHoweverTheBytesAreCut) {
  const std::string text = "retry: 2000\nid: 3\n\n" + event(4) + ": still here\n\n" + event(7);
  for (std::size_t size = 1; size < text.size(); size += 3) {
    std::vector<std::uint64_t> heard;
    EventReader reader([&](const api::Event& one) {
      heard.push_back(one.number);
      return true;
    });
    for (std::size_t at = 0; at < text.size(); at += size) {
      ASSERT_TRUE(reader.take(std::string_view(text).substr(at, size)));
    }
    EXPECT_EQ(heard, (std::vector<std::uint64_t>{4, 7})) << size;
    EXPECT_EQ(reader.position(), 7U);
    EXPECT_TRUE(reader.problem());
  }
}

TEST(EventReader, StopsWhenNoMoreIsWanted) {
  int heard = 0;
  EventReader reader([&](const api::Event&) { return ++heard < 2; });
  EXPECT_FALSE(reader.take(event(1) + event(2) + event(3)));
  EXPECT_EQ(heard, 2);
  EXPECT_EQ(reader.position(), 2U);
}

TEST(EventReader, AStreamOfSomethingElseIsAnError) {
  EventReader garbage([](const api::Event&) { return true; });
  EXPECT_FALSE(garbage.take("data: {\"schema\":1}\n\n"));
  EXPECT_FALSE(garbage.problem());
  EventReader endless([](const api::Event&) { return true; });
  EXPECT_FALSE(endless.take(std::string(100'000, 'x')));
  EXPECT_FALSE(endless.problem());
}

}  // namespace
}  // namespace warren::client
