// The promises of every Store as a test suite: each implementation runs it against itself.
//
//   struct Traits { std::unique_ptr<Store> open(); };   // the same storage at every call
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreContract, Traits);
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "store/contract_records.hpp"
#include "store/store.hpp"

namespace warren::store::contract {

template <typename Traits>
class StoreContract : public testing::Test {
 protected:
  /// What a program that starts now would find.
  State reopened() {
    auto store = traits_.open();
    auto state = store->load();
    EXPECT_TRUE(state) << state.error().message;
    return state ? *state : State{};
  }
  /// Commits to the storage and checks that what is there afterwards is what `apply` says.
  void commit(const std::vector<Change>& changes) {
    store::apply(expected_, changes);
    const base::Status status = traits_.open()->commit(changes, record("x"));
    ASSERT_TRUE(status) << status.error().message;
    ASSERT_EQ(reopened(), expected_);
  }
  void refused(const std::vector<Change>& changes) {
    State would_be = expected_;
    store::apply(would_be, changes);
    EXPECT_FALSE(check_state(would_be));
    EXPECT_FALSE(traits_.open()->commit(changes, record("refused")));
    EXPECT_EQ(reopened(), expected_);
    const auto records = traits_.open()->audit(1);
    ASSERT_TRUE(records);
    EXPECT_TRUE(records->empty() || records->front().record.target != "refused");
  }

  Traits traits_;
  State expected_;
};

TYPED_TEST_SUITE_P(StoreContract);

TYPED_TEST_P(StoreContract, StartsEmpty) { EXPECT_EQ(this->reopened(), State{}); }

TYPED_TEST_P(StoreContract, KeepsEveryField) {
  ASSERT_NO_FATAL_FAILURE(this->commit(everything()));
  EXPECT_EQ(this->expected_.networks.size(), 2U);
  EXPECT_EQ(this->expected_.peers.size(), 3U);
}

TYPED_TEST_P(StoreContract, ReplacesAndDeletes) {
  ASSERT_NO_FATAL_FAILURE(this->commit({PutNetwork{network(1, "a")}, PutNetwork{network(2, "b")}}));
  model::Peer ann = peer(1, 1, "ann");
  ASSERT_NO_FATAL_FAILURE(this->commit(
      {PutPeer{ann}, PutPeer{peer(2, 1, "bob")}, PutPeer{peer(3, 2, "ann")},
       PutToken{token(1, ann)}, PutToken{token(2, ann)}, PutToken{token(3, peer(3, 2, ""))}}));
  ann.state = model::PeerState::Enrolled;
  model::Token longer = token(2, ann);
  longer.expires = {1'900'000'000'000'000'000};
  ASSERT_NO_FATAL_FAILURE(this->commit({PutPeer{ann}, PutToken{longer}}));
  ASSERT_NO_FATAL_FAILURE(this->commit({DeleteTokensOf{ann.id}}));
  ASSERT_NO_FATAL_FAILURE(this->commit({DeletePeer{{3}}}));
  EXPECT_TRUE(this->expected_.tokens.empty());
  ASSERT_NO_FATAL_FAILURE(
      this->commit({RefuseKey{{{1}, {bytes32(4)}, {1}}}, RefuseKey{{{2}, {bytes32(4)}, {2}}},
                    RefuseKey{{{1}, {bytes32(4)}, {3}}}, RefuseKey{{{1}, {bytes32(2)}, {3}}}}));
  EXPECT_EQ(this->expected_.refused.size(), 3U);
  ASSERT_NO_FATAL_FAILURE(this->commit({DeleteNetwork{{1}}}));
  EXPECT_TRUE(this->expected_.peers.empty());
  EXPECT_EQ(this->expected_.refused.size(), 1U);
  EXPECT_EQ(this->expected_.next_peer_id, 4U);
}

TYPED_TEST_P(StoreContract, ReplacingANetworkKeepsItsMembers) {
  ASSERT_NO_FATAL_FAILURE(this->commit(everything()));
  StoredNetwork changed = this->expected_.networks.begin()->second;
  changed.network.endpoint_host = "other.example.org";
  ASSERT_NO_FATAL_FAILURE(this->commit({PutNetwork{changed}}));
  StoredNetwork full = this->expected_.networks.rbegin()->second;
  full.network.mtu = 1300;
  ASSERT_NO_FATAL_FAILURE(this->commit({PutNetwork{full}}));
  EXPECT_EQ(this->expected_.peers.size(), 3U);
  EXPECT_EQ(this->expected_.tokens.size(), 2U);
}

TYPED_TEST_P(StoreContract, NeverGivesAPeerIdTwice) {
  ASSERT_NO_FATAL_FAILURE(this->commit({PutNetwork{network(1, "a")}, PutPeer{peer(41, 1, "x")}}));
  ASSERT_NO_FATAL_FAILURE(this->commit({DeleteNetwork{{1}}}));
  EXPECT_EQ(this->reopened().next_peer_id, 42U);
}

TYPED_TEST_P(StoreContract, RefusesWhatMayNotBeAndChangesNothing) {
  ASSERT_NO_FATAL_FAILURE(this->commit({PutNetwork{network(1, "a")}, PutPeer{peer(1, 1, "ann")}}));
  const auto changed = [](auto value, auto change) {
    change(value);
    return value;
  };
  this->refused({PutNetwork{network(2, "a")}});
  this->refused({PutNetwork{changed(network(2, "b"), [](auto& n) { n.network.port = 1; })}});
  this->refused({PutNetwork{changed(network(2, "b"), [](auto& n) { n.network.transit = 1; })}});
  const auto with_roles = [&](auto one, auto other) {
    return PutNetwork{changed(network(2, "b"), [&](auto& n) {
      n.network.roles = {{.number = one.first, .name = one.second, .range4 = {}, .range6 = {}},
                         {.number = other.first, .name = other.second, .range4 = {}, .range6 = {}}};
    })};
  };
  this->refused({with_roles(std::pair(1U, "x"), std::pair(2U, "x"))});
  this->refused({with_roles(std::pair(1U, "x"), std::pair(1U, "y"))});
  this->refused({PutPeer{peer(2, 1, "ann")}});
  this->refused({PutPeer{peer(2, 99, "bob")}});
  this->refused(
      {PutPeer{changed(peer(2, 1, "bob"), [](auto& p) { p.address4 = peer(1, 1, "").address4; })}});
  this->refused({PutToken{token(1, peer(9, 1, "nobody"))}});
  this->refused({PutForward{{{model::Protocol::Tcp, 80}, {1}, {9}, 80}}});
  this->refused({RefuseKey{{{9}, {}, {}}}});
  // All or nothing: the good first half of a bad commit leaves nothing behind.
  this->refused(
      {PutNetwork{network(3, "c")}, PutPeer{peer(2, 1, "bob")}, PutPeer{peer(3, 1, "ann")}});
  this->refused({DeleteNetwork{{1}}, PutPeer{peer(4, 1, "late")}});
}

TYPED_TEST_P(StoreContract, TwoPeersOfANetworkHaveTwoKeys) {
  model::Peer ann = peer(1, 1, "ann");
  ann.state = model::PeerState::Enrolled;
  ann.public_key = base::PublicKey{bytes32(1)};
  ASSERT_NO_FATAL_FAILURE(this->commit({PutNetwork{network(1, "a")}, PutPeer{ann}}));
  model::Peer bob = peer(2, 1, "bob");
  bob.state = model::PeerState::Enrolled;
  bob.public_key = ann.public_key;
  this->refused({PutPeer{bob}});
  ann.state = model::PeerState::Revoked;
  ann.address4.reset();
  ASSERT_NO_FATAL_FAILURE(this->commit({PutPeer{ann}, PutPeer{bob}}));
}

TYPED_TEST_P(StoreContract, IdentitiesGoWithTheirNetworkAndAuthority) {
  ASSERT_NO_FATAL_FAILURE(this->commit(
      {PutNetwork{network(1, "a")}, PutNetwork{network(2, "b")}, PutAuthority{authority(1, 1)},
       PutAuthority{authority(2, 1)}, PutCertificate{certificate("0a", 1, 1)},
       PutCertificate{certificate("0b", 2, 1)}, PutApiToken{api_token("all", 1)}}));
  ApiToken one_network = api_token("one", 2);
  one_network.network = model::NetworkId{1};
  StoredAuthority old = authority(1, 1);
  old.retiring = true;
  old.list_number = 3;
  ASSERT_NO_FATAL_FAILURE(
      this->commit({PutApiToken{one_network}, PutAuthority{old}, PutAuthority{authority(1, 2)},
                    PutCertificate{certificate("0c", 1, 2)}, RefuseEverywhere{{bytes32(1)}, {5}},
                    RefuseEverywhere{{bytes32(1)}, {6}}}));
  EXPECT_EQ(this->expected_.refused_everywhere.begin()->second, base::WallTime{5});
  EXPECT_EQ(this->expected_.certificates.size(), 3U);
  ASSERT_NO_FATAL_FAILURE(this->commit({DeleteAuthority{{1}, 1}}));
  EXPECT_EQ(this->expected_.certificates.size(), 2U);
  ASSERT_NO_FATAL_FAILURE(this->commit({DeleteNetwork{{1}}}));
  EXPECT_EQ(this->expected_.certificates.size(), 1U);
  EXPECT_EQ(this->expected_.api_tokens.size(), 1U);
  ASSERT_NO_FATAL_FAILURE(this->commit({DeleteCertificate{"0b"}, DeleteApiToken{"all"}}));
  EXPECT_TRUE(this->expected_.certificates.empty() && this->expected_.api_tokens.empty());
}

TYPED_TEST_P(StoreContract, ALastListOutlivesItsNetwork) {
  ASSERT_NO_FATAL_FAILURE(this->commit(
      {PutNetwork{network(1, "a")}, PutAuthority{authority(1, 1)}, PutLastList{last_list("1")}}));
  ASSERT_NO_FATAL_FAILURE(this->commit({PutLastList{last_list("2")}, DeleteNetwork{{1}}}));
  EXPECT_EQ(this->expected_.last_lists.size(), 2U);
  LastList longer = last_list("1");
  longer.der += "more";
  longer.until = {10};
  ASSERT_NO_FATAL_FAILURE(this->commit({PutLastList{longer}}));
  ASSERT_NO_FATAL_FAILURE(this->commit({DeleteLastList{longer.authority}}));
  EXPECT_EQ(this->expected_.last_lists.size(), 1U);
}

TYPED_TEST_P(StoreContract, LoadsIdentitiesAlone) {
  ASSERT_NO_FATAL_FAILURE(this->commit(everything()));
  ASSERT_NO_FATAL_FAILURE(
      this->commit({PutAuthority{authority(2, 1)}, PutCertificate{certificate("0d", 2, 1)}}));
  auto store = this->traits_.open();
  const auto all = store->load_identities({});
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->authorities, this->expected_.authorities);
  EXPECT_EQ(all->certificates, this->expected_.certificates);
  EXPECT_EQ(all->last_lists, this->expected_.last_lists);
  const auto one = store->load_identities(model::NetworkId{2});
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->authorities.size(), 1U);
  EXPECT_EQ(one->certificates.size(), 1U);
  EXPECT_TRUE(one->certificates.contains("0d"));
  EXPECT_EQ(one->last_lists, this->expected_.last_lists);
  EXPECT_TRUE(one->networks.empty() && one->peers.empty());
}

TYPED_TEST_P(StoreContract, RefusesIdentitiesThatMayNotBe) {
  ASSERT_NO_FATAL_FAILURE(this->commit({PutNetwork{network(1, "a")}, PutAuthority{authority(1, 1)},
                                        PutApiToken{api_token("one", 1)}}));
  this->refused({PutAuthority{authority(2, 1)}});
  this->refused({PutAuthority{authority(1, 2)}});  // two that are current
  this->refused({PutCertificate{certificate("0a", 1, 2)}});
  this->refused({PutApiToken{api_token("two", 1)}});
  ApiToken nowhere = api_token("two", 2);
  nowhere.network = model::NetworkId{9};
  this->refused({PutApiToken{nowhere}});
}

TYPED_TEST_P(StoreContract, CommitsSoonAsWell) {
  auto store = this->traits_.open();
  const std::vector<Change> first{PutNetwork{network(1, "a")}};
  const std::vector<Change> second{PutPeer{peer(1, 1, "ann")}};
  ASSERT_TRUE(store->commit_soon(first, record("soon")));
  EXPECT_FALSE(store->commit_soon({PutNetwork{network(2, "a")}}, record("refused")));
  ASSERT_TRUE(store->commit(second, record("now")));
  store::apply(this->expected_, first);
  store::apply(this->expected_, second);
  EXPECT_EQ(this->reopened(), this->expected_);
  EXPECT_EQ(store->audit(9)->size(), 2U);
}

TYPED_TEST_P(StoreContract, AuditIsNewestFirstAndLimited) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(this->traits_.open()->commit({}, record("t" + std::to_string(i))));
  }
  const auto newest = this->traits_.open()->audit(2);
  ASSERT_TRUE(newest);
  ASSERT_EQ(newest->size(), 2U);
  EXPECT_EQ(newest->front().record, record("t4"));
  EXPECT_EQ(newest->front().number, 5U);
  EXPECT_EQ(newest->back().record, record("t3"));
  EXPECT_EQ(this->traits_.open()->audit(100)->size(), 5U);
  EXPECT_TRUE(this->traits_.open()->audit(0)->empty());
}

inline AuditRecord record_at(std::int64_t seconds) {
  AuditRecord made = record("t" + std::to_string(seconds));
  made.time = {seconds * 1'000'000'000};
  return made;
}

/// What `warren audit verify` does, a page of two at a time.
inline base::Status check_chain(Store& store) {
  WARREN_TRY_ASSIGN(const AuditSpan span, store.audit_span());
  ChainCheck check(span);
  for (std::uint64_t at = span.before; at < span.last;) {
    WARREN_TRY_ASSIGN(const std::vector<AuditEntry> page, store.audit_after(at, 2));
    if (page.empty()) break;
    for (const AuditEntry& entry : page) WARREN_TRY(check.add(entry));
    at = page.back().number;
  }
  return check.finish();
}

TYPED_TEST_P(StoreContract, TheAuditIsAChain) {
  EXPECT_TRUE(check_chain(*this->traits_.open()));
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(this->traits_.open()->commit({}, record_at(i)));
  auto store = this->traits_.open();
  EXPECT_TRUE(check_chain(*store));
  const auto span = store->audit_span();
  ASSERT_TRUE(span);
  EXPECT_EQ(span->before, 0U);
  EXPECT_EQ(span->last, 5U);
  const auto entries = store->audit_after(3, 9);
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ(entries->front().number, 4U);
  EXPECT_EQ(entries->front().record, record_at(4));
  EXPECT_EQ(entries->back().chain, chain_after(entries->front().chain, record_at(5)));
  EXPECT_EQ(entries->back().chain, span->head);
}

TYPED_TEST_P(StoreContract, WhatTheAuditForgetsBreaksNoChain) {
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(this->traits_.open()->commit({}, record_at(i)));
  auto store = this->traits_.open();
  const auto whole = store->audit_span();
  EXPECT_EQ(store->forget_audit({3'000'000'000}).value_or(99), 2U);
  EXPECT_EQ(store->forget_audit({3'000'000'000}).value_or(99), 0U);
  EXPECT_TRUE(check_chain(*store));
  const auto rest = store->audit_span();
  ASSERT_TRUE(whole && rest);
  EXPECT_EQ(rest->before, 2U);
  EXPECT_EQ(rest->last, 5U);
  EXPECT_EQ(rest->head, whole->head);
  EXPECT_EQ(store->audit(9)->size(), 3U);
  EXPECT_EQ(store->forget_audit({9'000'000'000}).value_or(99), 3U);
  ASSERT_TRUE(store->commit({}, record_at(10)));
  EXPECT_EQ(store->audit_span()->last, 6U) << "numbers are never given twice";
  EXPECT_TRUE(check_chain(*store));
}

inline Change random_identity_change(std::minstd_rand& random) {
  const auto one_of = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  const std::uint32_t network = 1 + one_of(3);
  const std::uint32_t number = 1 + one_of(2);
  const std::string serial = "0" + std::to_string(one_of(5));
  const auto secret = static_cast<std::uint8_t>(one_of(4));
  switch (one_of(8)) {
    case 0: {
      StoredAuthority some = authority(network, number);
      some.retiring = one_of(2) == 0;
      return PutAuthority{some};
    }
    case 1:
      return DeleteAuthority{{network}, number};
    case 2:
      return PutCertificate{certificate(serial, network, number)};
    case 3:
      return DeleteCertificate{serial};
    case 4:
      return PutLastList{last_list(std::to_string(one_of(3)))};
    case 5:
      return DeleteLastList{last_list(std::to_string(one_of(3))).authority};
    case 6:
      return PutApiToken{api_token("t" + std::to_string(one_of(4)), secret)};
    default:
      return RefuseEverywhere{{bytes32(secret)}, {static_cast<std::int64_t>(one_of(9))}};
  }
}

TYPED_TEST_P(StoreContract, FollowsTheTwinThroughRandomChanges) {
  std::minstd_rand random(4711);
  const auto one_of = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  auto store = this->traits_.open();
  for (int round = 0; round < 400; ++round) {
    std::vector<Change> changes;
    for (std::uint32_t i = 0; i <= one_of(3); ++i) {
      model::Peer some = peer(1 + one_of(12), 1 + one_of(3), "p" + std::to_string(one_of(8)));
      some.state = static_cast<model::PeerState>(one_of(3));
      const model::PublicPort port{static_cast<model::Protocol>(one_of(2)),
                                   static_cast<std::uint16_t>(1 + one_of(3))};
      switch (one_of(13)) {
        case 0:
          changes.push_back(PutNetwork{network(1 + one_of(3), "n" + std::to_string(one_of(4)))});
          break;
        case 1:
          if (one_of(6) == 0) changes.push_back(DeleteNetwork{{1 + one_of(3)}});
          break;
        case 2:
          changes.push_back(PutPeer{some});
          break;
        case 3:
          changes.push_back(DeletePeer{some.id});
          break;
        case 4:
          changes.push_back(PutToken{token(static_cast<std::uint8_t>(one_of(9)), some)});
          break;
        case 5:
          changes.push_back(DeleteTokensOf{some.id});
          break;
        case 6:
          changes.push_back(PutForward{{port, some.network, some.id, 80}});
          break;
        case 7:
          changes.push_back(DeleteForward{port});
          break;
        case 8:
          changes.push_back(DeleteForwardsOf{some.id});
          break;
        case 9:
        case 10:
        case 11:
          changes.push_back(random_identity_change(random));
          break;
        default:
          changes.push_back(RefuseKey{{some.network,
                                       {bytes32(static_cast<std::uint8_t>(one_of(5)))},
                                       {static_cast<std::int64_t>(round)}}});
      }
    }
    State next = this->expected_;
    store::apply(next, changes);
    // One statement after another may be refused where the sum is fine; never the other way round.
    if (store->commit(changes, record("r"))) {
      ASSERT_TRUE(check_state(next)) << "round " << round;
      this->expected_ = std::move(next);
    } else if (changes.size() == 1) {
      ASSERT_FALSE(check_state(next)) << "round " << round;
    }
    ASSERT_EQ(*store->load(), this->expected_) << "round " << round;
  }
  EXPECT_EQ(this->reopened(), this->expected_);
}

REGISTER_TYPED_TEST_SUITE_P(StoreContract, StartsEmpty, KeepsEveryField, ReplacesAndDeletes,
                            ReplacingANetworkKeepsItsMembers, NeverGivesAPeerIdTwice,
                            RefusesWhatMayNotBeAndChangesNothing, TwoPeersOfANetworkHaveTwoKeys,
                            IdentitiesGoWithTheirNetworkAndAuthority, ALastListOutlivesItsNetwork,
                            LoadsIdentitiesAlone, RefusesIdentitiesThatMayNotBe, CommitsSoonAsWell,
                            AuditIsNewestFirstAndLimited, TheAuditIsAChain,
                            WhatTheAuditForgetsBreaksNoChain, FollowsTheTwinThroughRandomChanges);

}  // namespace warren::store::contract
