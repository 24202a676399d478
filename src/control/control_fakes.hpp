// A gateway in memory for the tests of control: store, host and engines that fail when told, and
// clocks that stand still until moved.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "control/control.hpp"
#include "pki/wg_keys.hpp"
#include "plan/fake_host.hpp"
#include "store/store_view.hpp"

namespace warren::control::testing {

/// Counts the calls of all parts of a gateway; those whose number is in `failing` fail.
struct Faults {
  std::size_t calls = 0;
  std::set<std::size_t> failing;
  bool all = false;  ///< from now on everything fails

  [[nodiscard]] base::Status next(const std::string& what) {
    const bool fails = failing.contains(calls++) || all;
    if (!fails) return {};
    return base::make_error(base::ErrorKind::Failed, what + ": injected failure");
  }
};

class FaultyStore final : public store::StoreView {
 public:
  FaultyStore(Faults& faults, store::MemoryStore& memory) : StoreView(memory), faults_(faults) {}
  base::Status commit(const std::vector<store::Change>& changes,
                      const store::AuditRecord& record) override {
    WARREN_TRY(faults_.next("commit"));
    return StoreView::commit(changes, record);
  }

 private:
  Faults& faults_;
};

class FaultyHost final : public plan::FakeHost {
 public:
  explicit FaultyHost(Faults& faults) : faults_(faults) {}
  base::Result<plan::Observed> observe() override {
    WARREN_TRY(faults_.next("observe"));
    return FakeHost::observe();
  }
  base::Status apply(const plan::Step& step) override {
    WARREN_TRY(faults_.next("apply"));
    return FakeHost::apply(step);
  }
  base::Result<std::size_t> flush_connections(
      const plan::HostNetwork& network, const std::vector<base::IpAddress>& addresses) override {
    WARREN_TRY(faults_.next("flush"));
    return FakeHost::flush_connections(network, addresses);
  }
  base::Result<std::size_t> close_forwards(
      const plan::HostNetwork& network, const std::vector<plan::HostForward>& forwards) override {
    WARREN_TRY(faults_.next("close forwards"));
    return FakeHost::close_forwards(network, forwards);
  }
  base::Status check_transit(const plan::TransitPool& pool) override {
    WARREN_TRY(faults_.next("check transit"));
    return FakeHost::check_transit(pool);
  }

 private:
  Faults& faults_;
};

class FakeEngines final : public EngineControl {
 public:
  using Peers = std::map<base::PublicKey, std::vector<base::Prefix>>;

  explicit FakeEngines(Faults& faults) : faults_(faults) {}
  base::Status start(const store::StoredNetwork& network,
                     const std::vector<EnginePeer>& peers) override {
    if (base::Status fine = faults_.next("start"); !fine) {
      running[network.network.id];  // it died half way and left something behind
      return fine;
    }
    Peers& engine = running[network.network.id];
    engine.clear();
    ports[network.network.id] = network.network.port;
    for (const EnginePeer& peer : peers) engine[peer.public_key] = peer.allowed_ips;
    return {};
  }
  base::Status stop(model::NetworkId network) override {
    WARREN_TRY(faults_.next("stop"));
    if (running.erase(network) == 1) return {};
    return base::make_error(base::ErrorKind::NotFound, "no engine");
  }
  base::Status add_peer(model::NetworkId network, const EnginePeer& peer) override {
    const base::Status fine = faults_.next("add peer");
    const auto engine = running.find(network);
    if (engine == running.end()) return base::make_error(base::ErrorKind::NotFound, "no engine");
    engine->second[peer.public_key] = peer.allowed_ips;
    return fine;  // when it failed, the answer was lost after the deed
  }
  base::Status remove_peer(model::NetworkId network, const base::PublicKey& peer) override {
    WARREN_TRY(faults_.next("remove peer"));
    const auto engine = running.find(network);
    if (engine == running.end() || engine->second.erase(peer) == 0) {
      return base::make_error(base::ErrorKind::NotFound, "no such peer");
    }
    return {};
  }
  base::Result<std::vector<EnginePeerStatus>> peers(model::NetworkId network) override {
    const auto engine = running.find(network);
    if (engine == running.end()) return base::make_error(base::ErrorKind::NotFound, "no engine");
    std::vector<EnginePeerStatus> out;
    for (const auto& [key, allowed] : engine->second) {
      EnginePeerStatus status;
      if (const auto seen = seen_peers.find(key); seen != seen_peers.end()) status = seen->second;
      status.public_key = key;
      out.push_back(status);
    }
    return out;
  }
  base::Result<EngineFacts> read_back(model::NetworkId network) override {
    const auto engine = running.find(network);
    if (engine == running.end()) return base::make_error(base::ErrorKind::NotFound, "no engine");
    EngineFacts out{.has_the_key = true, .port = ports[network], .peers = {}};
    for (const auto& [key, allowed] : engine->second) out.peers.push_back({key, allowed});
    return out;
  }
  EngineState state(model::NetworkId network) const override {
    return running.contains(network) ? EngineState::Running : EngineState::Stopped;
  }
  base::Status check_port(std::uint16_t port, const std::vector<base::IpAddress>&) override {
    WARREN_TRY(faults_.next("check port"));
    if (!foreign_ports.contains(port)) return {};
    return base::make_error(base::ErrorKind::Conflict,
                            "UDP port " + std::to_string(port) + " is taken");
  }

  std::map<model::NetworkId, Peers> running;
  std::map<model::NetworkId, std::uint16_t> ports;
  std::map<base::PublicKey, EnginePeerStatus> seen_peers;
  std::set<std::uint16_t> foreign_ports;

 private:
  Faults& faults_;
};

class FakeNames final : public NameServers {
 public:
  explicit FakeNames(Faults& faults) : faults_(faults) {}
  base::Status check() override {
    if (installed) return {};
    return base::make_error(base::ErrorKind::NotFound, "names need dnsmasq");
  }
  base::Status serve(const model::NameZone& zone) override {
    WARREN_TRY(faults_.next("serve names"));
    served.insert(zone.network);
    return {};
  }
  base::Status stop(model::NetworkId network) override {
    served.erase(network);
    return {};
  }
  void changed(model::NetworkId network) override { told.insert(network); }
  std::string problem(model::NetworkId network) const override {
    return served.contains(network) ? "" : "nobody answers";
  }
  std::vector<std::string> warnings(const model::NameZone&) const override { return {}; }
  std::vector<std::string> differences(const model::NameZone& zone) override {
    if (served.contains(zone.network)) return {};
    return {"missing: the name server"};
  }
  std::vector<NameFinding> examine(const std::vector<model::NameZone>& zones) override {
    std::vector<NameFinding> out;
    for (const model::NameZone& zone : zones) {
      out.push_back({.network = zone.network_name,
                     .what = "name server of network " + zone.network_name,
                     .state = served.contains(zone.network) ? "good" : "bad",
                     .text = "",
                     .remedy = ""});
    }
    return out;
  }

  bool installed = true;
  std::set<model::NetworkId> served;
  std::set<model::NetworkId> told;

 private:
  Faults& faults_;
};

class FakeClock final : public Clock {
 public:
  base::Instant now() const override {
    instant_ += std::chrono::milliseconds(1);  // every look takes a while
    return instant_;
  }
  base::WallTime wall() const override { return time; }
  base::WallTime time{1'750'000'000'000'000'000};

 private:
  mutable base::Instant instant_{};
};

class SeededRandom final : public base::RandomSource {
 public:
  explicit SeededRandom(std::uint32_t seed) : engine_(seed) {}
  void fill(base::MutableBytes out) override {
    std::ranges::generate(out, [this] { return static_cast<std::uint8_t>(engine_() >> 8); });
  }

 private:
  std::mt19937 engine_;
};

inline Settings settings() {
  Settings settings;
  settings.transit = {.v4 = *base::Prefix::parse("100.126.0.0/16"),
                      .v6 = *base::Prefix::parse("fd77:6172:7265:6e00::/64")};
  settings.endpoint_host = "gw.example.org";
  settings.enrol_at = "gw.example.org:51800";
  settings.identity_pin.fill(0x77);
  settings.state_dir = "/var/lib/warren";
  return settings;
}

/// What a machine with a gateway holds; the daemon (`control`) may come and go.
struct Gateway {
  explicit Gateway(Settings initial = settings(), std::uint32_t seed = 1)
      : random(seed), used(std::move(initial)) {
    restart();
  }
  void restart() {
    control.reset();
    control = std::make_unique<Control>(
        Control::Dependencies{store, host, engines, clock, random, log, &names}, used);
    started = control->start();
  }

  /// Everything that a refused change must leave as it was (the audit apart).
  struct Snapshot {
    store::State state;
    std::map<std::string, plan::Fact> facts;
    std::map<model::NetworkId, FakeEngines::Peers> engines;
    bool operator==(const Snapshot&) const = default;
  };
  [[nodiscard]] Snapshot snapshot() { return {*memory.load(), host.facts, engines.running}; }
  [[nodiscard]] store::State state() { return *memory.load(); }

  // Shorthands of the use cases.
  base::Result<api::NetworkView> create(const std::string& name,
                                        const std::string& subnet = "10.20.0.0/24") {
    return control->create_network("uid 0", {.name = name, .subnet = subnet});
  }
  base::Result<api::Invitation> invite(const std::string& network, const std::string& name) {
    return control->invite("uid 0", network, {.name = name});
  }
  base::PublicKey new_key() { return pki::create_wg_keys(random).public_key; }
  api::EnrolRequest enrol_request(const std::string& token, const base::PublicKey& key) {
    const auto text = model::TokenText::parse(token);
    return {.secret = text ? base::to_base64url(text->secret) : "",
            .public_key = key.base64(),
            .time = clock.time.seconds()};
  }
  base::Result<api::EnrolAnswer> enrol(const std::string& token, const base::PublicKey& key) {
    return control->enrol(enrol_request(token, key));
  }
  /// Invites and enrols at once; the member's key.
  base::PublicKey add_member(const std::string& network, const std::string& name) {
    const auto invitation = invite(network, name);
    const base::PublicKey key = new_key();
    if (invitation) (void)enrol(invitation->token, key);
    return key;
  }

  Faults faults;
  store::MemoryStore memory;
  FaultyStore store{faults, memory};
  FaultyHost host{faults};
  FakeEngines engines{faults};
  FakeNames names{faults};
  FakeClock clock;
  SeededRandom random;
  base::NullLog log;
  Settings used;
  std::unique_ptr<Control> control;
  base::Status started;
};

}  // namespace warren::control::testing
