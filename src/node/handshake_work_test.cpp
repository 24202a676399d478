// Handshakes step by step, with the node changing between the steps, as other workers change it.
#include <gtest/gtest.h>

#include "node/batch_test_support.hpp"
#include "node/limits.hpp"
#include "wg/limits.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;
using wg::MessageType;

/// A gateway whose handshakes are made by workers, and a peer that makes its own at once.
struct Bench : World {
  Bench() : World({.defer_initiations = true}) {
    connect(gateway, peer);
    hook = [](Travelled&) { return false; };  // tests deliver by hand
  }
  /// The datagram that `from` sends last, after `what`.
  template <typename What>
  Travelled sent_by(Host& from, What what) {
    what();
    static_cast<void>(from.node.handle_handshakes(100, now, wall));
    settle();
    WARREN_ASSERT(!log.empty() && log.back().from == from.endpoint);
    return log.back();
  }
  Travelled knock() {
    return sent_by(peer, [&] { peer.node.initiate(gateway.key(), now, wall); });
  }
  void arrive(Host& at, const Travelled& what) {
    worker.in.add({.packet = worker.pool.copy_of(what.bytes), .remote = what.from});
    static_cast<void>(receive(at, worker, *this));
  }
  /// One step of the gateway under the lock.
  bool advance(HandshakeWork& by) {
    std::size_t budget = Node::handshake_budget(1);
    return gateway.node.advance(by, budget, now, wall);
  }
  void finish(HandshakeWork& by) {
    while (advance(by)) by.compute();
  }
  /// What the gateway wants to send now.
  std::vector<MessageType> output() {
    std::vector<MessageType> out;
    while (auto datagram = gateway.node.poll_datagram()) {
      out.push_back(*wg::message_type(datagram->packet.bytes()));
    }
    return out;
  }

  Host& gateway = add("10.0.0.1", "192.0.2.1:51820");
  Host& peer = add("10.0.0.2", "192.0.2.2:51820");
  Worker worker{2048, 16};
  SeededRandom random{7};
  HandshakeWork work{random};
  HandshakeWork other_work{random};
};

using Types = std::vector<MessageType>;

TEST(HandshakeWork, AnAnswerTakesTwoStepsAndLeavesNothingBehind) {
  Bench world;
  world.arrive(world.gateway, world.knock());
  ASSERT_TRUE(world.advance(world.work));  // whose is it
  EXPECT_FALSE(world.work.is_idle());
  world.work.compute();
  ASSERT_TRUE(world.advance(world.work));  // what is the answer
  world.work.compute();
  EXPECT_TRUE(world.output().empty()) << "nothing is sent before it was taken over";
  EXPECT_FALSE(world.advance(world.work));
  EXPECT_EQ(world.output(), Types{MessageType::Response});
  EXPECT_TRUE(world.work.is_idle());
  EXPECT_EQ(world.gateway.drops(), 0U);
}

TEST(HandshakeWork, AWantedInitiationWaitsForAWorkerAndIsMadeOnce) {
  Bench world;
  for (int i = 0; i < 3; ++i) world.gateway.node.initiate(world.peer.key(), world.now, world.wall);
  EXPECT_TRUE(world.output().empty());
  EXPECT_TRUE(world.gateway.node.handshakes_wait());
  ASSERT_TRUE(world.advance(world.work));
  world.work.compute();
  EXPECT_FALSE(world.advance(world.work));
  EXPECT_EQ(world.output(), Types{MessageType::Initiation});
  EXPECT_FALSE(world.gateway.node.handshakes_wait());
  EXPECT_TRUE(world.work.is_idle());
}

TEST(HandshakeWork, PacketsThatWaitForAWantedInitiationComeOut) {
  Bench world;
  world.hook = [](Travelled&) { return true; };
  world.gateway.send(world.peer, "patience");
  for (int i = 0; i < 8; ++i) {
    world.settle();
    for (Host* host : {&world.gateway, &world.peer}) {
      static_cast<void>(host->node.handle_handshakes(1, world.now, world.wall));
    }
  }
  EXPECT_EQ(world.peer.received, std::vector<std::string>{"patience"});
}

/// What may happen to the gateway while a worker computes.
struct Meanwhile {
  const char* name;
  void (*happens)(Bench&);
  Drop drop_of_answer;
  Drop drop_of_conclusion;
};

void remove_peer(Bench& world) {
  ASSERT_TRUE(
      world.gateway.node.update_peer({.public_key = world.peer.key(), .remove = true}, world.now));
}
void replace_peer(Bench& world) {
  remove_peer(world);
  world.know(world.gateway, world.peer);
}
void change_preshared_key(Bench& world) {
  PeerUpdate update{.public_key = world.peer.key()};
  update.preshared_key.emplace();
  update.preshared_key->fill()[0] = 1;
  ASSERT_TRUE(world.gateway.node.update_peer(update, world.now));
}
void change_private_key(Bench& world) {
  world.gateway.node.set_private_key(crypto::generate_private_key(world.random), world.now);
}
void clear_private_key(Bench& world) { world.gateway.node.set_private_key({}, world.now); }

constexpr Meanwhile kMeanwhile[] = {
    {"the_peer_is_removed", remove_peer, Drop::UnknownPeer, Drop::UnknownIndex},
    {"the_peer_is_replaced", replace_peer, Drop::UnknownPeer, Drop::UnknownIndex},
    {"its_preshared_key_changes", change_preshared_key, Drop::BadHandshake, Drop::BadHandshake},
    {"our_private_key_changes", change_private_key, Drop::BadHandshake, Drop::BadHandshake},
    {"our_private_key_goes", clear_private_key, Drop::BadHandshake, Drop::BadHandshake},
};

class HandshakeWorkMeanwhile : public testing::TestWithParam<Meanwhile> {
 protected:
  /// Ends the work after the change, and checks that nothing came of it and nothing is held.
  void expect_nothing_of(Bench& world) {
    GetParam().happens(world);
    world.work.compute();
    const std::uint64_t completed = world.gateway.node.counters().handshakes_completed;
    EXPECT_FALSE(world.advance(world.work));
    EXPECT_EQ(world.output(), Types{});
    EXPECT_TRUE(world.work.is_idle());
    EXPECT_EQ(world.gateway.node.counters().handshakes_answered, 0U);
    EXPECT_EQ(world.gateway.node.counters().handshakes_completed, completed);
    EXPECT_EQ(world.gateway.pool.in_use(), 0U);
  }
};

TEST_P(HandshakeWorkMeanwhile, AnAnswerComesToNothing) {
  Bench world;
  world.arrive(world.gateway, world.knock());
  ASSERT_TRUE(world.advance(world.work));
  world.work.compute();
  ASSERT_TRUE(world.advance(world.work));
  expect_nothing_of(world);
  EXPECT_EQ(world.gateway.drops(GetParam().drop_of_answer), 1U);
  EXPECT_EQ(world.gateway.drops(), 1U);
}

TEST_P(HandshakeWorkMeanwhile, AConclusionComesToNothing) {
  Bench world;
  const Travelled initiation = world.sent_by(
      world.gateway, [&] { world.gateway.node.initiate(world.peer.key(), world.now, world.wall); });
  const Travelled response =
      world.sent_by(world.peer, [&] { world.deliver(world.peer, initiation); });
  ASSERT_EQ(response.type(), MessageType::Response);
  world.arrive(world.gateway, response);
  ASSERT_TRUE(world.advance(world.work));
  expect_nothing_of(world);
  EXPECT_EQ(world.gateway.drops(GetParam().drop_of_conclusion), 1U);
}

TEST_P(HandshakeWorkMeanwhile, AnInitiationComesToNothing) {
  Bench world;
  world.gateway.node.initiate(world.peer.key(), world.now, world.wall);
  ASSERT_TRUE(world.advance(world.work));
  // An initiation does not depend on the pre-shared key: both are as good as before.
  if (GetParam().happens == change_preshared_key) return;
  expect_nothing_of(world);
  EXPECT_EQ(world.gateway.drops(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Changes, HandshakeWorkMeanwhile, testing::ValuesIn(kMeanwhile),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(HandshakeWork, AfterAChangeOfTheKeyWorkersMakeTheirHandshakesWithTheNewOne) {
  Bench world;
  world.gateway.node.initiate(world.peer.key(), world.now, world.wall);
  world.finish(world.work);  // an identity of the former key has been lent and given back
  ASSERT_EQ(world.output(), Types{MessageType::Initiation});
  change_private_key(world);
  world.know(world.peer, world.gateway);
  world.hook = [](Travelled&) { return true; };
  world.gateway.send(world.peer, "new key");
  world.settle();
  world.finish(world.work);
  world.settle();
  world.finish(world.work);
  world.settle();
  EXPECT_EQ(world.peer.received, std::vector<std::string>{"new key"});
}

TEST(HandshakeWork, TheSameMessageOnTwoWorkersIsAnsweredOnce) {
  Bench world;
  const Travelled message = world.knock();
  world.arrive(world.gateway, message);
  world.arrive(world.gateway, message);
  for (int step = 0; step < 2; ++step) {
    ASSERT_TRUE(world.advance(world.work));
    ASSERT_TRUE(world.advance(world.other_work));
    world.work.compute();
    world.other_work.compute();
  }
  EXPECT_FALSE(world.advance(world.work));
  EXPECT_FALSE(world.advance(world.other_work));
  EXPECT_EQ(world.output(), Types{MessageType::Response});
  EXPECT_EQ(world.gateway.drops(Drop::BadHandshake), 1U);
}

TEST(HandshakeWork, TheSameResponseOnTwoWorkersMakesOneSession) {
  Bench world;
  const Travelled initiation = world.sent_by(
      world.gateway, [&] { world.gateway.node.initiate(world.peer.key(), world.now, world.wall); });
  const Travelled response =
      world.sent_by(world.peer, [&] { world.deliver(world.peer, initiation); });
  world.arrive(world.gateway, response);
  world.arrive(world.gateway, response);
  ASSERT_TRUE(world.advance(world.work));
  ASSERT_TRUE(world.advance(world.other_work));
  world.work.compute();
  world.other_work.compute();
  EXPECT_FALSE(world.advance(world.work));
  EXPECT_FALSE(world.advance(world.other_work));
  EXPECT_EQ(world.gateway.node.counters().handshakes_completed, 1U);
  EXPECT_EQ(world.gateway.drops(Drop::UnknownIndex), 1U);
  EXPECT_EQ(world.output(), Types{MessageType::Transport}) << "one keepalive";
}

TEST(HandshakeWork, OurInitiationsAndThoseOfOthersTakeTurns) {
  Bench world;
  Host& third = world.add("10.0.0.3", "192.0.2.3:51820");
  world.connect(world.gateway, third);
  world.arrive(world.gateway, world.knock());
  world.gateway.node.initiate(third.key(), world.now, world.wall);
  world.finish(world.work);
  world.finish(world.work);
  EXPECT_EQ(world.output(), (Types{MessageType::Initiation, MessageType::Response}));
}

TEST(HandshakeWork, ManyCheapOnesAreNotHandledInOneGo) {
  Bench world;
  Travelled message = world.knock();
  for (std::size_t i = 0; i < kMaxWaitingHandshakes; ++i) {  // far more than make it a load
    message.from = {base::IpAddress::v4(static_cast<std::uint32_t>(0xc6336400 + i)), 7, 0};
    world.arrive(world.gateway, message);
  }
  std::size_t budget = Node::handshake_budget(1);
  std::size_t holds = 0;
  std::size_t cookies = 0;
  for (bool more = true; more; ++holds) {
    more = world.gateway.node.advance(world.work, budget, world.now, world.wall);
    EXPECT_TRUE(world.work.is_idle());
    const std::size_t sent = world.output().size();
    EXPECT_LE(sent, kCheapInARow);
    cookies += sent;
  }
  EXPECT_EQ(cookies, kCheapHandshakes);
  EXPECT_EQ(holds, kCheapHandshakes / kCheapInARow);
}

TEST(Removals, InPagesAreTheSameAsAtOnce) {
  World world;
  Host& gateway = world.add("10.0.0.1", "192.0.2.1:51820");
  std::vector<Host*> members;
  for (int i = 2; i < 40; ++i) {
    const std::string last = std::to_string(i);
    members.push_back(&world.add("10.0.0." + last, "192.0.2." + last + ":51820"));
    world.connect(gateway, *members.back());
    gateway.node.initiate(members.back()->key(), world.now, world.wall);
  }
  auto first = gateway.node.poll_datagram();
  ASSERT_TRUE(first);
  EXPECT_TRUE(gateway.node.has(first->owner));
  std::optional<std::size_t> next = 0;
  std::size_t pages = 0;
  for (; next; ++pages) {
    EXPECT_EQ(gateway.node.peer_count(), members.size() - std::min(members.size(), pages * 7));
    next = gateway.node.remove_some_peers(*next, 7);
  }
  EXPECT_EQ(pages, (members.size() + 6) / 7);
  EXPECT_EQ(gateway.node.peer_count(), 0U);
  EXPECT_FALSE(gateway.node.has(first->owner));
  EXPECT_FALSE(gateway.node.poll_datagram()) << "what was queued went with its peer";
  gateway.outbox.push_back(ip_packet(gateway.inner, members[0]->inner, "x"));
  world.settle();
  EXPECT_EQ(gateway.drops(Drop::NoRoute), 1U);
}

TEST(Removals, TellWhoseDatagramsMustNotLeaveAnyMore) {
  Linked world;
  Host& third = world.add("10.0.0.3", "192.0.2.3:51820");
  world.connect(world.a, third);
  third.send(world.a, "hello");
  world.settle();
  world.worker.add(ip_packet(world.a.inner, world.b.inner, "one"));
  world.worker.add(ip_packet(world.a.inner, third.inner, "two"));
  world.plan(world.worker);
  world.worker.out.seal();
  ASSERT_EQ(world.worker.out.trains().size(), 2U);
  const Owner one = world.worker.out.trains()[0].owner;
  const Owner two = world.worker.out.trains()[1].owner;
  EXPECT_TRUE(world.a.node.has(one));
  ASSERT_TRUE(world.a.node.update_peer({.public_key = world.b.key(), .remove = true}, world.now));
  world.know(world.a, world.b);  // in the same slot
  EXPECT_FALSE(world.a.node.has(one));
  EXPECT_TRUE(world.a.node.has(two));
  world.a.node.set_private_key(crypto::generate_private_key(world.a.random), world.now);
  EXPECT_FALSE(world.a.node.has(two)) << "its sessions have ended";
  EXPECT_FALSE(world.a.node.has({})) << "nobody is no peer";
}

}  // namespace
}  // namespace warren::node
