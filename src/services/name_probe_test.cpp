#include "services/name_probe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/netns.hpp"

namespace warren::services {
namespace {

using base::Family;
using ::testing::ElementsAre;

constexpr std::uint16_t kId = 0x1234;

/// The question for gateway.lab with one answer: 10.20.0.1, its name a pointer.
std::vector<std::uint8_t> answer(std::uint8_t code = 0, std::uint8_t answers = 1) {
  std::vector<std::uint8_t> out = write_question(kId, "gateway.lab", Family::V4);
  out[2] |= 0x80;
  out[3] = code;
  out[7] = answers;
  for (const int byte : {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 10, 20, 0, 1}) {
    out.push_back(static_cast<std::uint8_t>(byte));
  }
  return out;
}

TEST(NameProbe, AsksAsTheStandardSays) {
  EXPECT_THAT(write_question(kId, "a.lab", Family::V6),
              ElementsAre(0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 3, 'l', 'a', 'b', 0, 0,
                          28, 0, 1));
}

TEST(NameProbe, ReadsAddressesOfItsFamily) {
  const auto found = read_answer(answer(), kId, Family::V4);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, ElementsAre(*base::IpAddress::parse("10.20.0.1")));
  EXPECT_TRUE(read_answer(answer(), kId, Family::V6)->empty());
  EXPECT_TRUE(read_answer(answer(3, 0), kId, Family::V4)->empty());  // there is no such name
}

TEST(NameProbe, IsNotMistakenByOtherMessages) {
  EXPECT_EQ(read_answer(answer(), kId + 1, Family::V4).error().kind, base::ErrorKind::Invalid);
  EXPECT_EQ(read_answer(write_question(kId, "a", Family::V4), kId, Family::V4).error().kind,
            base::ErrorKind::Invalid);
  EXPECT_EQ(read_answer(answer(5), kId, Family::V4).error().kind, base::ErrorKind::Unavailable);
  const std::vector<std::uint8_t> whole = answer();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(read_answer(base::Bytes(whole).first(size), kId, Family::V4)) << size;
  }
  EXPECT_FALSE(read_answer(answer(0, 9), kId, Family::V4));
}

TEST(NameProbe, TellsOfEachOfManyWhetherAnybodyIsThere) {
  const auto here = os::current_netns();
  ASSERT_TRUE(here) << here.error().message;
  // Nobody answers there: at most a refusal, which is told as well.
  const auto address = *base::IpAddress::parse("127.0.53.99");
  const auto answers = ask_names({{.netns = &*here, .server = address, .name = "a.lab"},
                                  {.netns = &*here, .server = address, .name = ""}},
                                 std::chrono::milliseconds(50));
  ASSERT_EQ(answers.size(), 2U);
  for (const NameAnswer& answer : answers) {
    EXPECT_FALSE(answer.came);
    EXPECT_NE(answer.why, "");
  }
}

}  // namespace
}  // namespace warren::services
