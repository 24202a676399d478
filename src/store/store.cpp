// The state in memory and the rules that every store keeps.
//
// `apply` is total: it has no way to fail. Whether the outcome is a state that may exist is decided
// by `check_state`, which says in C++ what the constraints of the database say in SQL; the contract
// tests hold both to the same answers.
#include "store/store.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace warren::store {

namespace {

void put(State& state, const PutNetwork& change) {
  state.networks.insert_or_assign(change.network.network.id, change.network);
}

void put(State& state, const DeleteNetwork& change) {
  state.networks.erase(change.id);
  std::erase_if(state.peers, [&](const auto& entry) { return entry.second.network == change.id; });
  std::erase_if(state.tokens, [&](const model::Token& t) { return t.network == change.id; });
  std::erase_if(state.refused, [&](const RefusedKey& r) { return r.network == change.id; });
  std::erase_if(state.forwards,
                [&](const auto& entry) { return entry.second.network == change.id; });
  std::erase_if(state.authorities,
                [&](const auto& entry) { return entry.second.network == change.id; });
  std::erase_if(state.certificates,
                [&](const auto& entry) { return entry.second.network == change.id; });
  std::erase_if(state.api_tokens,
                [&](const auto& entry) { return entry.second.network == change.id; });
}

void put(State& state, const PutPeer& change) {
  state.peers.insert_or_assign(change.peer.id, change.peer);
  state.next_peer_id = std::max(state.next_peer_id, change.peer.id.value + 1);
}

void put(State& state, const DeleteTokensOf& change) {
  std::erase_if(state.tokens, [&](const model::Token& t) { return t.peer == change.peer; });
}

void put(State& state, const PutForward& change) {
  state.forwards.insert_or_assign(change.forward.from, change.forward);
}

void put(State& state, const DeleteForward& change) { state.forwards.erase(change.from); }

void put(State& state, const DeleteForwardsOf& change) {
  std::erase_if(state.forwards,
                [&](const auto& entry) { return entry.second.peer == change.peer; });
}

void put(State& state, const DeletePeer& change) {
  put(state, DeleteTokensOf{change.id});
  put(state, DeleteForwardsOf{change.id});
  state.peers.erase(change.id);
}

void put(State& state, const PutToken& change) {
  const auto at = std::ranges::lower_bound(state.tokens, change.token.secret_hash, {},
                                           &model::Token::secret_hash);
  if (at != state.tokens.end() && at->secret_hash == change.token.secret_hash) {
    *at = change.token;
  } else {
    state.tokens.insert(at, change.token);
  }
}

void put(State& state, const RefuseKey& change) {
  const bool known = std::ranges::any_of(state.refused, [&](const RefusedKey& r) {
    return r.network == change.key.network && r.key == change.key.key;
  });
  if (known) return;
  state.refused.insert(std::ranges::lower_bound(state.refused, change.key), change.key);
}

void put(State& state, const RefuseEverywhere& change) {
  state.refused_everywhere.emplace(change.key, change.since);
}

void put(State& state, const PutAuthority& change) {
  state.authorities.insert_or_assign({change.authority.network, change.authority.number},
                                     change.authority);
}

void put(State& state, const DeleteAuthority& change) {
  state.authorities.erase({change.network, change.number});
  std::erase_if(state.certificates, [&](const auto& entry) {
    return entry.second.network == change.network && entry.second.authority == change.number;
  });
}

void put(State& state, const PutCertificate& change) {
  state.certificates.insert_or_assign(change.certificate.serial, change.certificate);
}

void put(State& state, const DeleteCertificate& change) { state.certificates.erase(change.serial); }

void put(State& state, const PutLastList& change) {
  state.last_lists.insert_or_assign(change.list.authority, change.list);
}

void put(State& state, const DeleteLastList& change) { state.last_lists.erase(change.authority); }

void put(State& state, const PutApiToken& change) {
  state.api_tokens.insert_or_assign(change.token.name, change.token);
}

void put(State& state, const DeleteApiToken& change) { state.api_tokens.erase(change.name); }

base::Error broken(const std::string& what) {
  return base::make_error(base::ErrorKind::Internal, "the change is inconsistent: " + what);
}

base::Status check_networks(const State& state) {
  std::set<std::string> names;
  std::set<std::uint16_t> ports;
  std::set<std::uint32_t> transits;
  for (const auto& [id, stored] : state.networks) {
    const model::Network& network = stored.network;
    if (!names.insert(network.name).second)
      return broken("network name " + network.name + " twice");
    if (!ports.insert(network.port).second) {
      return broken("port " + std::to_string(network.port) + " twice");
    }
    if (!transits.insert(network.transit).second) {
      return broken("transit " + std::to_string(network.transit) + " twice");
    }
    std::set<std::string> roles;
    std::set<std::uint32_t> numbers;
    for (const model::Role& role : network.roles) {
      if (!roles.insert(role.name).second || !numbers.insert(role.number).second) {
        return broken("role " + role.name + " or its number twice");
      }
    }
  }
  return {};
}

base::Status check_peers(const State& state) {
  std::set<std::pair<model::NetworkId, std::string>> names;
  std::set<std::pair<model::NetworkId, base::IpAddress>> addresses;
  std::set<std::pair<model::NetworkId, base::PublicKey>> keys;
  for (const auto& [id, peer] : state.peers) {
    if (!state.networks.contains(peer.network)) {
      return broken("peer " + peer.name + " of no network");
    }
    for (const auto& address : {peer.address4, peer.address6}) {
      if (address && !addresses.emplace(peer.network, *address).second) {
        return broken("address " + address->to_string() + " twice");
      }
    }
    if (peer.state == model::PeerState::Revoked) continue;
    if (!names.emplace(peer.network, peer.name).second) {
      return broken("peer name " + peer.name + " twice");
    }
    if (peer.public_key && !keys.emplace(peer.network, *peer.public_key).second) {
      return broken("the public key of " + peer.name + " twice");
    }
  }
  return {};
}

base::Status check_identities(const State& state) {
  std::set<model::NetworkId> current;
  for (const auto& [key, authority] : state.authorities) {
    if (!state.networks.contains(authority.network)) return broken("an authority of no network");
    if (!authority.retiring && !current.insert(authority.network).second) {
      return broken("two current authorities of one network");
    }
  }
  for (const auto& [serial, certificate] : state.certificates) {
    if (!state.authorities.contains({certificate.network, certificate.authority})) {
      return broken("certificate " + serial + " of no authority");
    }
  }
  std::set<std::array<std::uint8_t, 32>> hashes;
  for (const auto& [name, token] : state.api_tokens) {
    if (token.network && !state.networks.contains(*token.network)) {
      return broken("the API token " + name + " is for no network");
    }
    if (!hashes.insert(token.secret_hash).second) {
      return broken("the secret of the API token " + name + " twice");
    }
  }
  return {};
}

}  // namespace

void apply(State& state, const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    std::visit([&](const auto& one) { put(state, one); }, change);
  }
}

base::Status check_state(const State& state) {
  WARREN_TRY(check_networks(state));
  WARREN_TRY(check_peers(state));
  for (const model::Token& token : state.tokens) {
    const auto peer = state.peers.find(token.peer);
    if (peer == state.peers.end() || peer->second.network != token.network) {
      return broken("a token of no peer");
    }
  }
  for (const auto& [from, forward] : state.forwards) {
    const auto peer = state.peers.find(forward.peer);
    if (peer == state.peers.end() || peer->second.network != forward.network) {
      return broken("the forward of " + from.to_string() + " leads to no peer");
    }
  }
  for (const RefusedKey& refused : state.refused) {
    if (!state.networks.contains(refused.network)) return broken("a refused key of no network");
  }
  return check_identities(state);
}

base::Result<State> Store::load_identities(std::optional<model::NetworkId> only) {
  WARREN_TRY_ASSIGN(State whole, load());
  State found;
  found.authorities = std::move(whole.authorities);
  found.certificates = std::move(whole.certificates);
  found.last_lists = std::move(whole.last_lists);
  const auto another = [&](const auto& entry) { return only && entry.second.network != *only; };
  std::erase_if(found.authorities, another);
  std::erase_if(found.certificates, another);
  return found;
}

base::Result<State> MemoryStore::load() {
  if (failure_) return *failure_;
  return state_;
}

base::Status MemoryStore::commit(const std::vector<Change>& changes, const AuditRecord& record) {
  if (failure_) return *failure_;
  State next = state_;
  apply(next, changes);
  WARREN_TRY(check_state(next));
  state_ = std::move(next);
  span_.head = chain_after(span_.head, record);
  entries_.push_back({++span_.last, record, span_.head});
  return {};
}

base::Result<std::vector<AuditEntry>> MemoryStore::audit(std::size_t limit) {
  if (failure_) return *failure_;
  std::vector<AuditEntry> newest;
  for (auto at = entries_.rbegin(); at != entries_.rend() && newest.size() < limit; ++at) {
    newest.push_back(*at);
  }
  return newest;
}

base::Result<AuditSpan> MemoryStore::audit_span() {
  if (failure_) return *failure_;
  return span_;
}

base::Result<std::vector<AuditEntry>> MemoryStore::audit_after(std::uint64_t number,
                                                               std::size_t limit) {
  if (failure_) return *failure_;
  std::vector<AuditEntry> found;
  for (const AuditEntry& entry : entries_) {
    if (entry.number > number && found.size() < limit) found.push_back(entry);
  }
  return found;
}

base::Result<std::uint64_t> MemoryStore::forget_audit(base::WallTime time) {
  if (failure_) return *failure_;
  const auto kept = std::ranges::find_if(
      entries_, [time](const AuditEntry& entry) { return entry.record.time >= time; });
  if (kept == entries_.begin()) return std::uint64_t{0};
  span_.before = std::prev(kept)->number;
  span_.anchor = std::prev(kept)->chain;
  const auto forgotten = static_cast<std::uint64_t>(kept - entries_.begin());
  entries_.erase(entries_.begin(), kept);
  return forgotten;
}

}  // namespace warren::store
