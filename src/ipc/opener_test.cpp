#include "ipc/opener.hpp"

#include <gtest/gtest.h>

namespace warren::ipc {
namespace {

std::vector<OpenerMessage> one_of_each() {
  return {
      {1, Hello{}},
      {2, OpenUdp{51820, 0xdeadbeef}},
      {3, SetMark{7}},
      {1, HelloReply{kOpenerVersion, "wr0123abcd", 9000, true, true, false, 0x3f, 4}},
      {2, OpenUdpReply{EADDRINUSE, 4711, true, false}},
      {3, Done{EPERM}},
      {0, LinkChanged{false, 1280}},
      {0, NetworkChanged{}},
      {0, Shutdown{}},
      {0, Adopted{kOpenerVersion, "wg0", 51820, 0xffff, true, true, false, 0x0f}},
      {4, OpenWorker{51820, 0xffff, true}},
      {4, OpenWorkerReply{0, true, false}},
      {0, Report{"offloads: none", {{"tun-reads", 7}, {"udp-sent", 1ULL << 40}}}},
  };
}

TEST(Opener, CoversEveryMessage) {
  EXPECT_EQ(one_of_each().size(), std::variant_size_v<OpenerBody>);
}

TEST(Opener, WritesTheDocumentedBytes) {
  const auto bytes = write_opener({0x01020304, OpenUdp{0xca6c, 0xdeadbeef}});
  const std::vector<std::uint8_t> expected = {2, 0,    0,    0,    4,    3,    2,
                                              1, 0x6c, 0xca, 0xef, 0xbe, 0xad, 0xde};
  EXPECT_EQ(bytes, expected);
}

TEST(Opener, RoundTripsEveryMessage) {
  for (const OpenerMessage& message : one_of_each()) {
    const auto bytes = write_opener(message);
    EXPECT_LE(bytes.size(), kMaxOpenerMessage);
    const auto again = parse_opener(bytes);
    ASSERT_TRUE(again) << message.body.index();
    EXPECT_EQ(again->sequence, message.sequence);
    EXPECT_EQ(again->body.index(), message.body.index());
    EXPECT_EQ(write_opener(*again), bytes);
  }
}

TEST(Opener, KeepsEveryField) {
  const auto hello = parse_opener(write_opener(one_of_each()[3]));
  ASSERT_TRUE(hello);
  const auto& reply = std::get<HelloReply>(hello->body);
  EXPECT_EQ(reply.interface_name, "wr0123abcd");
  EXPECT_EQ(reply.mtu, 9000);
  EXPECT_TRUE(reply.extension && reply.hints);
  EXPECT_FALSE(reply.exit_with_opener);
  EXPECT_EQ(reply.tun_offloads, 0x3f);
  EXPECT_EQ(reply.max_workers, 4);

  const auto asked = parse_opener(write_opener({5, OpenWorker{51820, 7, false}}));
  ASSERT_TRUE(asked);
  const auto& worker = std::get<OpenWorker>(asked->body);
  EXPECT_EQ(worker.port, 51820);
  EXPECT_EQ(worker.mark, 7U);
  EXPECT_FALSE(worker.queue);
}

TEST(Opener, AReportKeepsItsWordsAndNumbers) {
  const Report empty;
  EXPECT_EQ(std::get<Report>(parse_opener(write_opener({0, empty}))->body), empty);
  Report full{.features = std::string(kMaxReportFeatures, 'f'), .counters = {}};
  for (std::size_t i = 0; i < kMaxReportCounters; ++i) {
    full.counters.push_back({std::string(kMaxReportName, 'n'), ~std::uint64_t{i}});
  }
  const auto bytes = write_opener({0, full});
  EXPECT_LE(bytes.size(), kMaxOpenerMessage);
  EXPECT_EQ(std::get<Report>(parse_opener(bytes)->body), full);
}

TEST(Opener, RefusesAReportThatATerminalShouldNotSee) {
  auto bytes = write_opener({0, Report{"ab", {{"n", 1}}}});
  for (const char bad : {'\0', '\x1b', '\x7f', '\xc3'}) {
    auto features = bytes;
    features[9] = static_cast<std::uint8_t>(bad);
    EXPECT_FALSE(parse_opener(features));
    auto name = bytes;
    name[13] = static_cast<std::uint8_t>(bad);
    EXPECT_FALSE(parse_opener(name));
  }
  bytes[11] = kMaxReportCounters + 1;
  EXPECT_FALSE(parse_opener(bytes));
  EXPECT_FALSE(parse_opener(std::vector<std::uint8_t>{13, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,  //
                                                      1, 0, 0, 0, 0, 0, 0, 0}))
      << "a counter without a name";
}

// An engine and an opener of two releases tell each other apart.
TEST(Opener, OfAnotherVersionReadsTheVersionAlone) {
  const std::vector<std::uint8_t> hello = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0};
  const auto greeting = parse_opener(hello);
  ASSERT_TRUE(greeting);
  EXPECT_EQ(std::get<Hello>(greeting->body).version, 1);

  std::vector<std::uint8_t> first = {4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x8c, 0x05, 1, 1, 0, 'w', 'g'};
  first.resize(15 + 16);
  const auto reply = parse_opener(first);
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<HelloReply>(reply->body).version, 1);
  EXPECT_EQ(std::get<HelloReply>(reply->body).interface_name, "");

  const std::vector<std::uint8_t> later = {10, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0xff, 0xff};
  const auto adopted = parse_opener(later);
  ASSERT_TRUE(adopted);
  EXPECT_EQ(std::get<Adopted>(adopted->body).version, 9);
}

TEST(Opener, RefusesEveryTruncationAndTrailingByte) {
  for (const OpenerMessage& message : one_of_each()) {
    auto bytes = write_opener(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(parse_opener(base::Bytes(bytes).first(size))) << message.body.index();
    }
    bytes.push_back(0);
    EXPECT_FALSE(parse_opener(bytes)) << message.body.index();
  }
}

TEST(Opener, RefusesBadTypesNamesFlagsAndErrors) {
  auto bytes = write_opener({0, Shutdown{}});
  bytes[0] = 0;
  EXPECT_FALSE(parse_opener(bytes));
  bytes[0] = std::variant_size_v<OpenerBody> + 1;
  EXPECT_FALSE(parse_opener(bytes));
  bytes[0] = 9;
  bytes[2] = 1;
  EXPECT_FALSE(parse_opener(bytes)) << "the reserved field is zero";

  auto adopted = write_opener({0, Adopted{kOpenerVersion, "wg0", 1, 2}});
  const std::size_t name_at = adopted.size() - 16;
  for (std::size_t i = name_at; i < adopted.size(); ++i) adopted[i] = 'a';
  EXPECT_FALSE(parse_opener(adopted)) << "a name without its end";
  adopted.back() = 0;
  EXPECT_TRUE(parse_opener(adopted));
  adopted[name_at + 3] = 0;
  EXPECT_FALSE(parse_opener(adopted)) << "bytes behind the end of a name";
  adopted[name_at + 3] = 'a';
  adopted[name_at - 1] = 0x40;
  EXPECT_FALSE(parse_opener(adopted)) << "an offload that does not exist";
  adopted[name_at - 1] = 0x3f;
  EXPECT_TRUE(parse_opener(adopted));
  adopted[name_at - 2] = 2;
  EXPECT_FALSE(parse_opener(adopted)) << "a flag is 0 or 1";

  auto reply = write_opener({1, HelloReply{}});
  EXPECT_TRUE(parse_opener(reply));
  reply[reply.size() - 17] = 0;
  EXPECT_FALSE(parse_opener(reply)) << "an engine has one worker at least";

  auto done = write_opener({1, Done{1}});
  done.back() = 0xff;
  EXPECT_FALSE(parse_opener(done));
}

}  // namespace
}  // namespace warren::ipc
