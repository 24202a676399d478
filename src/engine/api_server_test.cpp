// The userspace API of a running engine with requests and answers larger than any buffer.
#include "engine/api_server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>

#include "engine/engine_test_support.hpp"

namespace warren::engine {
namespace {

/// "public_key=…" and one allowed IP each, for peers `from` to `from + count`.
std::string peer_lines(std::uint32_t from, std::uint32_t count, std::string_view more = "") {
  std::string text;
  for (std::uint32_t number = from; number < from + count; ++number) {
    base::PublicKey key;
    base::ByteWriter(key.bytes).u32_be(number).u32_be(7);
    text += "public_key=" + key.hex() + "\n" + std::string(more);
    const auto address = base::IpAddress::v4(0x0a000000 + number);
    if (more.empty()) text += "allowed_ip=" + address.to_string() + "/32\n";
  }
  return text;
}

TEST(ApiServer, ThousandsOfPeersComeAndGoInOneRequest) {
  Rig rig({});
  EXPECT_EQ(rig.set("replace_peers=true\n" + peer_lines(0, 3000)), "errno=0\n\n");
  auto status = rig.status();
  ASSERT_EQ(status.peers.size(), 3000U);
  std::ranges::sort(status.peers, {}, &ipc::UapiPeerStatus::public_key);
  for (std::uint32_t i = 0; i < 3000; ++i) {
    ASSERT_EQ(status.peers[i].allowed_ips.at(0).address, base::IpAddress::v4(0x0a000000 + i));
  }
  EXPECT_EQ(rig.set(peer_lines(1000, 1500, "remove=true\n")), "errno=0\n\n");
  EXPECT_EQ(rig.status().peers.size(), 1500U);
  EXPECT_EQ(rig.set("replace_peers=true\n" + peer_lines(7, 1)), "errno=0\n\n");
  EXPECT_EQ(rig.status().peers.size(), 1U);
}

TEST(ApiServer, WhatCameBeforeAMalformedLineStaysInWholePieces) {
  Rig rig({});
  const auto peers = static_cast<std::uint32_t>(2 * ipc::kUapiPiecePeers + 10);
  EXPECT_EQ(rig.set(peer_lines(0, peers) + "rubbish\n"), "errno=-71\n\n");
  EXPECT_EQ(rig.status().peers.size(), 2 * ipc::kUapiPiecePeers);
}

TEST(ApiServer, ARefusedInterfaceRefusesThePeersBehindIt) {
  Rig rig({});
  Rig other({});
  ASSERT_EQ(other.set("listen_port=0\n"), "errno=0\n\n");
  const std::string taken = std::to_string(other.status().listen_port);
  ApiClient client(rig.api_path());
  EXPECT_EQ(client.ask("set=1\nlisten_port=" + taken + "\n" + peer_lines(0, 1000) + "\n"),
            "errno=-" + std::to_string(EADDRINUSE) + "\n\n");
  EXPECT_EQ(client.ask("get=1\n\n"), "errno=0\n\n") << "nothing was applied, and it goes on";
}

/// Processor time of this process, the engine's thread among it.
base::Duration processor_time() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

TEST(ApiServer, AClientThatAsksAndDoesNotReadIsLeftAlone) {
  constexpr int kRequests = 20;
  Rig rig({});
  ASSERT_EQ(rig.set(peer_lines(0, 1500)), "errno=0\n\n");
  ApiClient client(rig.api_path());
  for (int i = 0; i < kRequests; ++i) client.send("get=1\n\n");
  EXPECT_EQ(rig.status().peers.size(), 1500U) << "others are served";
  const base::Duration before = processor_time();
  const auto silence = os::unix_pair(os::UnixType::Stream).value();
  std::ignore = os::wait_readable(silence.first, std::chrono::milliseconds(400));
  EXPECT_LT(processor_time() - before, std::chrono::milliseconds(200)) << "no waiting in circles";
  constexpr std::string_view kEnd = "errno=0\n\n";
  std::string answers;  // an answer may end within what is read at once
  for (int left = kRequests; left != 0;) {
    answers += client.receive();
    ASSERT_FALSE(answers.ends_with("(timeout)"));
    for (std::size_t end; (end = answers.find(kEnd)) != std::string::npos; --left) {
      const auto status = ipc::parse_uapi_status(answers.substr(0, end + kEnd.size()));
      ASSERT_TRUE(status);
      ASSERT_EQ(status->peers.size(), 1500U);
      answers.erase(0, end + kEnd.size());
    }
  }
  EXPECT_EQ(answers, "");
}

}  // namespace
}  // namespace warren::engine
