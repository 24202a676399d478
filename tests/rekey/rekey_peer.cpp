// The life of sessions against wireguard-go, which runs in real time, while our node's clock runs
// twenty times as fast: its 120 seconds pass in six. Traffic flows all the while.
//
//   our node ── UDP on the loopback of the namespace wt<pid>-rekey ── wireguard-go
//   10.88.0.2                                                         10.88.0.1
#include <gtest/gtest.h>

#include "foreign_peer.hpp"
#include "scaled_host.hpp"
#include "wg/messages.hpp"

namespace warren::rekey {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Echo requests that may stay without answer while sessions change under them: none.
constexpr std::uint64_t kMaxLost = 0;
/// For answers under way when a test stops sending.
constexpr base::Duration kSettle = milliseconds(300);
/// Real time for what should happen at once, on a busy machine.
constexpr base::Duration kSoon = seconds(3);

class RekeyPeer : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = ForeignPeer::missing(); !missing.empty()) {
      GTEST_SKIP() << "NOT RUN: needs " << missing;
    }
    peer_.emplace();
    ASSERT_TRUE(peer_->netns());
    host_.emplace(peer_->netns());
  }

  ForeignPeer& peer() { return *peer_; }
  ScaledHost& host() { return *host_; }
  const node::Counters& counters() { return host().node().counters(); }
  int wait_for_ping(const os::Child& ping) {
    std::optional<int> code;
    EXPECT_TRUE(host().run_until(
        [&] {
          if (!code) code = os::try_wait(ping);
          return code.has_value();
        },
        seconds(20)));
    return code.value_or(-1);
  }

 private:
  std::optional<ForeignPeer> peer_;
  std::optional<ScaledHost> host_;
};

TEST_F(RekeyPeer, AnInitiatorRekeysAgainAndAgainWithoutLoss) {
  peer().know(host().key(), std::nullopt);
  host().know(peer().key(), peer().port());
  host().send_echoes(milliseconds(10));
  host().run_for(seconds(20));  // 400 of the node: handshakes at 0, 120, 240 and 360
  host().send_echoes({});
  host().run_for(kSettle);

  EXPECT_GE(host().echoes_sent(), 1900U);
  EXPECT_LE(host().echoes_lost(), kMaxLost);
  EXPECT_EQ(counters().handshakes_answered, 0U);
  EXPECT_EQ(host().drops(node::Drop::SessionExpired), 0U);
  const auto& times = host().handshakes();
  ASSERT_EQ(times.size(), 4U);
  for (std::size_t i = 1; i < times.size(); ++i) {
    const base::Duration gap = times[i] - times[i - 1];
    EXPECT_GE(gap, real(seconds(119)));
    EXPECT_LE(gap, real(seconds(120)) + milliseconds(1000));
  }
}

TEST_F(RekeyPeer, AResponderAnswersRefusesOldSessionsAndRenewsThem) {
  host().know(peer().key(), std::nullopt);
  peer().know(host().key(), host().port());
  // Answers would make us wait for answers to them, and the peer's ten seconds are longer than our
  // fifteen.
  host().answer(false);
  const os::Child first = peer().start_ping(100, "0.02");
  EXPECT_NE(wait_for_ping(first), 0);
  EXPECT_EQ(host().requests_received(), 100U);
  EXPECT_EQ(counters().handshakes_answered, 1U);
  EXPECT_EQ(counters().handshakes_initiated, 0U) << "a responder leaves rekeying to the initiator";

  // For the peer the session is young; for us it is over its 180 seconds, and nothing gets in.
  host().run_for(real(seconds(185)));
  const std::uint64_t refused = host().drops(node::Drop::SessionExpired);
  const os::Child second = peer().start_ping(3, "0.02");
  EXPECT_NE(wait_for_ping(second), 0);
  EXPECT_EQ(host().requests_received(), 100U);
  EXPECT_EQ(host().drops(node::Drop::SessionExpired), refused + 3);

  // What we send needs a session: now we begin.
  host().send_echoes(milliseconds(20));
  host().run_for(seconds(2));
  host().send_echoes({});
  host().run_for(kSettle);
  EXPECT_EQ(counters().handshakes_initiated, 1U);
  EXPECT_LE(host().echoes_lost(), kMaxLost);

  // A peer that lost its memory begins anew; we answer while our own session is still good.
  peer().forget(host().key());
  peer().know(host().key(), host().port());
  host().answer(true);
  const os::Child third = peer().start_ping(50, "0.02");
  EXPECT_EQ(wait_for_ping(third), 0);
  EXPECT_EQ(host().requests_received(), 150U);
  EXPECT_EQ(counters().handshakes_answered, 2U);
}

TEST_F(RekeyPeer, ASilentReceiverSendsKeepalives) {
  host().know(peer().key(), std::nullopt);
  peer().know(host().key(), host().port());
  host().answer(false);
  const os::Child ping = peer().start_ping(3, "0.02");
  ASSERT_TRUE(host().run_until([&] { return host().requests_received() == 3; }, kSoon));
  EXPECT_EQ(host().keepalives_sent(), 0U) << "not before 10 seconds of the node";
  const std::uint64_t before = peer().received_bytes();
  // One for the first request; one more because others came while the first was due. Then silence.
  host().run_for(real(seconds(60)));
  EXPECT_EQ(host().keepalives_sent(), 2U);
  EXPECT_EQ(peer().received_bytes(), before + 2 * wg::kTransportOverhead);
  EXPECT_NE(wait_for_ping(ping), 0);
}

TEST_F(RekeyPeer, PersistentKeepalivesHoldTheSessionAcrossRekeys) {
  peer().know(host().key(), std::nullopt);
  host().know(peer().key(), peer().port(), 5);
  ASSERT_TRUE(host().run_until([&] { return host().handshakes().size() == 1; }, kSoon));
  host().run_for(real(seconds(260)));
  // One each 5 seconds, and the one that each handshake ends with.
  EXPECT_GE(host().keepalives_sent(), 45U);
  EXPECT_LE(host().keepalives_sent(), 60U);
  EXPECT_EQ(host().handshakes().size(), 3U);
  EXPECT_GE(peer().received_bytes(), host().keepalives_sent() * wg::kTransportOverhead);
}

TEST_F(RekeyPeer, APeerThatWasRestartedIsFoundAgain) {
  peer().know(host().key(), std::nullopt);
  host().know(peer().key(), peer().port());
  host().send_echoes(milliseconds(20));
  host().run_for(seconds(1));
  const std::uint64_t lost_before = host().echoes_lost();
  EXPECT_LE(lost_before, 3U);  // under way
  peer().restart();
  peer().know(host().key(), std::nullopt);
  // Silence for 10 + 5 seconds of the node means a new handshake.
  EXPECT_TRUE(
      host().run_until([&] { return host().handshakes().size() == 2; }, real(seconds(15)) + kSoon));
  const std::uint64_t lost = host().echoes_lost();
  host().run_for(seconds(1));
  host().send_echoes({});
  host().run_for(kSettle);
  EXPECT_LE(host().echoes_lost(), lost) << "every request after the new handshake is answered";
}

}  // namespace
}  // namespace warren::rekey
