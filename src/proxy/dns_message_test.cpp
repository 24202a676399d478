#include "proxy/dns_message.hpp"

#include <gtest/gtest.h>

namespace warren::proxy::dns {
namespace {

using Octets = std::vector<std::uint8_t>;
const Question kQuestion{.id = 0x1234, .name = "Host.lab", .type = Type::A};

/// An answer to kQuestion with these records behind the question.
Octets answer(const Octets& records, std::uint8_t count, std::uint8_t code = 0) {
  Octets out = write_question(kQuestion);
  out[2] = 0x81;
  out[3] = static_cast<std::uint8_t>(0x80 | code);
  out[7] = count;
  out.insert(out.end(), records.begin(), records.end());
  return out;
}
const Octets kAddress = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 9};

TEST(DnsMessage, QuestionsAreWrittenAsTheRfcSays) {
  EXPECT_EQ(write_question(kQuestion),
            (Octets{0x12, 0x34, 1,   0,   0, 1,   0,   0,   0, 0, 0, 0, 4,
                    'h',  'o',  's', 't', 3, 'l', 'a', 'b', 0, 0, 1, 0, 1}));
  EXPECT_TRUE(write_question({.id = 1, .name = "a..b"}).empty());
  EXPECT_TRUE(write_question({.id = 1, .name = std::string(64, 'a')}).empty());
}

TEST(DnsMessage, AnAddressIsFound) {
  const auto parsed = parse_answer(answer(kAddress, 1), kQuestion, 4);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->outcome, Answer::Outcome::Found);
  EXPECT_EQ(parsed->addresses, std::vector{*base::IpAddress::parse("10.0.0.9")});
  EXPECT_EQ(parsed->ttl_s, 60U);
}

TEST(DnsMessage, AliasesAreFollowed) {
  // host.lab CNAME x.lab (its name at 38), x.lab A 10.0.0.9
  Octets records = {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 30, 0, 4, 1, 'x', 0xc0, 17};
  Octets target = kAddress;
  target[1] = 38;
  records.insert(records.end(), target.begin(), target.end());
  const auto parsed = parse_answer(answer(records, 2), kQuestion, 4);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->outcome, Answer::Outcome::Found);
  EXPECT_EQ(parsed->ttl_s, 30U);
}

TEST(DnsMessage, AliasesInACircleEnd) {
  const Octets records = {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 30, 0, 2, 0xc0, 12};
  EXPECT_EQ(parse_answer(answer(records, 1), kQuestion, 4)->outcome, Answer::Outcome::NoName);
}

TEST(DnsMessage, OutcomesByCode) {
  EXPECT_EQ(parse_answer(answer({}, 0, 3), kQuestion, 4)->outcome, Answer::Outcome::NoName);
  EXPECT_EQ(parse_answer(answer({}, 0), kQuestion, 4)->outcome, Answer::Outcome::NoName);
  EXPECT_EQ(parse_answer(answer({}, 0, 2), kQuestion, 4)->outcome, Answer::Outcome::NoServer);
  EXPECT_EQ(parse_answer(answer({}, 0, 5), kQuestion, 4)->outcome, Answer::Outcome::NoServer);
}

TEST(DnsMessage, OnlyAnAnswerToThisQuestionIsOne) {
  const Octets good = answer(kAddress, 1);
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}, std::size_t{13}, std::size_t{23}}) {
    Octets other = good;
    other[at] ^= 1;
    EXPECT_FALSE(parse_answer(other, kQuestion, 4)) << at;
  }
  Octets question = good;
  question[2] = 1;
  EXPECT_FALSE(parse_answer(question, kQuestion, 4));
}

TEST(DnsMessage, CutsAreMalformedUnlessMarked) {
  const Octets whole = answer(kAddress, 1);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_answer(base::Bytes(whole).first(size), kQuestion, 4)) << size;
  }
  Octets two = answer(kAddress, 2);
  two[2] |= 2;
  EXPECT_EQ(parse_answer(two, kQuestion, 4)->outcome, Answer::Outcome::Found);
}

TEST(DnsMessage, PointersLeadForwardNowhere) {
  Octets record = kAddress;
  record[1] = 26;  // itself
  EXPECT_FALSE(parse_answer(answer(record, 1), kQuestion, 4));
  record[1] = 40;  // behind itself
  EXPECT_FALSE(parse_answer(answer(record, 1), kQuestion, 4));
}

TEST(DnsMessage, NoMoreAddressesThanWanted) {
  Octets records;
  for (int i = 0; i < 9; ++i) records.insert(records.end(), kAddress.begin(), kAddress.end());
  EXPECT_EQ(parse_answer(answer(records, 9), kQuestion, 4)->addresses.size(), 4U);
}

}  // namespace
}  // namespace warren::proxy::dns
