// Theory of operation
//
// A server that ends is noticed by its pidfd and started again, at once at first and then with a
// pause that doubles, as engines are. A daemon that starts adopts what runs: names are answered all
// the while.
//
// `serve` is for whoever waits for the answer (names are turned on, a repair): it returns when the
// server answers. Everything else goes through `changed`: gathered, one network at a time, so that
// a thousand servers that start with the daemon do not keep it from its other work.
//
// Whom the host asks is read from its resolv.conf, again and again. What is there on the loopback
// (a resolver of the host's own) is asked by a relay (forwarder_ways.hpp). Where nobody is named no
// other names are answered: nothing goes a way that nobody chose.
//
// With host access the host is told to ask here for the network's names. Nothing may go round in
// circles by that: a server that the host was told of is none that the host is asked for
// (resolvconf writes it into resolv.conf), and what the host knows of one network is withheld from
// the others.
#include "gateway/names_supervisor.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "gateway/limits.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "services/dnsmasq.hpp"
#include "services/host_domain.hpp"
#include "services/host_names.hpp"
#include "services/limits.hpp"

namespace warren::gateway {

using base::ErrorKind;
using base::LogLevel;
using base::make_error;

namespace {

/// Those that it was told of here are not its own.
std::vector<base::IpAddress> resolvers_of_the_host(const std::set<base::IpAddress>& told) {
  const char* chosen = std::getenv("WARREN_RESOLV_CONF");
  const auto text =
      os::read_file(chosen != nullptr ? chosen : "/etc/resolv.conf", services::kResolvConfBytes);
  if (!text) return {};
  std::vector<base::IpAddress> found = services::resolvers_in(*text);
  std::erase_if(found, [&](const base::IpAddress& address) { return told.contains(address); });
  return found;
}

}  // namespace

NameSupervisor::NameSupervisor(boost::asio::io_context& io, base::Log& log, std::string run_dir)
    : io_(io),
      log_(log),
      run_dir_(std::move(run_dir)),
      changed_timer_(io),
      delay_(kNameChangeDelay),
      resolvers_(resolvers_of_the_host({})) {}

base::Status NameSupervisor::end_unwanted(const std::set<model::NetworkId>& wanted) {
  std::string failures;
  for (const model::NetworkId id : services::recorded_name_servers(run_dir_)) {
    if (wanted.contains(id)) continue;
    if (auto ended = services::end_recorded_name_server(run_dir_, id); !ended)
      failures += (failures.empty() ? "" : "; ") + ended.error().message;
    else if (*ended)
      say(LogLevel::Info,
          "ended the name server of " + id.interface_name() + ", a network that has none");
  }
  if (failures.empty()) return {};
  return make_error(ErrorKind::Failed, failures);
}

void NameSupervisor::look_at_resolvers() {
  std::set<base::IpAddress> told;
  for (const auto& [id, served] : served_) {
    told.insert(served->told_host.begin(), served->told_host.end());
    const bool host_may_know = served->host_lacks_a_keeper && services::find_name_service("");
    if (host_may_know || !served->ways.problem().empty()) changed(id);
  }
  std::vector<base::IpAddress> found = resolvers_of_the_host(told);
  if (found == resolvers_) return;
  resolvers_ = std::move(found);
  for (const auto& [id, served] : served_) changed(id);
}

base::Status NameSupervisor::check() {
  WARREN_TRY(services::find_name_server_program());
  return {};
}

std::vector<base::IpAddress> NameSupervisor::forwarders_of(const model::NameZone& zone) const {
  return zone.ask_the_host ? resolvers_ : zone.forwarders;
}

std::vector<std::string> NameSupervisor::domains_of_others(model::NetworkId network) const {
  std::vector<std::string> out;
  for (const auto& [id, served] : served_) {
    if (id != network && !served->told_host.empty()) out.push_back(served->domain);
  }
  return out;
}

void NameSupervisor::follow_host_access(const model::NameZone& zone, Served& served) {
  const std::vector<base::IpAddress> before = std::move(served.told_host);
  const std::string& record = served.server.files().host_domain;
  served.told_host.clear();
  served.host_problem.clear();
  served.host_lacks_a_keeper = false;
  served.domain = zone.domain;
  base::Status done;
  if (zone.host_link.empty()) {
    done = services::untell_host(record);
  } else if (const auto told = services::tell_host(
                 record, {.link = zone.host_link, .servers = zone.listen, .domain = zone.domain});
             told) {
    served.told_host = zone.listen;
  } else {
    done = told.error();
    served.host_lacks_a_keeper = told.error().kind == ErrorKind::NotFound;
  }
  if (!done) served.host_problem = done.error().message;
  if (served.told_host == before) return;
  for (const auto& [id, other] : served_) {
    if (id != zone.network) changed(id);
  }
}

base::Result<NameSupervisor::Served*> NameSupervisor::bring(const model::NameZone& zone) {
  auto found = served_.find(zone.network);
  if (found == served_.end()) {
    WARREN_TRY_ASSIGN(services::NameServerProgram program, services::find_name_server_program());
    found = served_
                .emplace(zone.network,
                         std::make_unique<Served>(io_, std::move(program), run_dir_, zone))
                .first;
  }
  Served& served = *found->second;
  served.watch.stop();  // its descriptor may go
  const pid_t before = served.server.process().pid;
  const auto brought = served.server.serve(
      zone, {.servers = served.ways.make(io_, zone, forwarders_of(zone), relay_load_),
             .withheld = domains_of_others(zone.network)});
  const os::Child& process = served.server.process();
  if (process.pidfd) {
    const model::NetworkId id = zone.network;
    WARREN_TRY(served.watch.start(io_, process.pidfd.get(), [this, id] { handle_exit(id); }));
  }
  if (!brought) return brought.error();
  served.problem.clear();
  follow_host_access(zone, served);
  if (*brought && process.pid != before) {
    served.started = os::now();
    say(LogLevel::Info, "names of network " + served.name + " are answered by process " +
                            std::to_string(process.pid));
  }
  return &served;
}

base::Status NameSupervisor::bring_and_ask(const model::NameZone& zone) {
  WARREN_TRY_ASSIGN(Served* const served, bring(zone));
  return served->server.wait_until_it_answers();
}

base::Status NameSupervisor::serve(const model::NameZone& zone) {
  const bool was_served = served_.contains(zone.network);
  base::Status answers = bring_and_ask(zone);
  if (!answers && was_served) {
    // One that runs and does not answer: its namespace is another one now, or it hangs.
    Served& served = *served_.at(zone.network);
    served.watch.stop();
    WARREN_TRY(served.server.end_process());
    answers = bring_and_ask(zone);
  }
  if (!answers && !was_served) {
    if (auto gone = stop(zone.network); !gone) say(LogLevel::Error, gone.error().message);
  }
  return answers;
}

base::Status NameSupervisor::stop(model::NetworkId network) {
  changed_.erase(network);
  const auto found = served_.find(network);
  if (found == served_.end()) {
    WARREN_TRY(services::end_recorded_name_server(run_dir_, network));
    return {};
  }
  found->second->watch.stop();
  found->second->retry.cancel();
  WARREN_TRY(found->second->server.stop().within("stop the name server of " + found->second->name));
  const bool was_told = !found->second->told_host.empty();
  served_.erase(found);
  for (const auto& [id, other] : served_) {
    if (was_told) changed(id);  // what was withheld from them
  }
  return {};
}

void NameSupervisor::changed(model::NetworkId network) {
  changed_.insert(network);
  if (!changed_timer_.is_set()) changed_timer_.set(delay_, [this] { serve_changed(); });
}

void NameSupervisor::serve_changed() {
  if (changed_.empty() || !zone_of_) return;
  const model::NetworkId network = *changed_.begin();
  changed_.erase(changed_.begin());
  const base::Instant began = os::now();
  refresh(network);
  delay_ =
      std::clamp((os::now() - began) * kNameChangeShare, kNameChangeDelay, kMaxNameChangeDelay);
  // The others have waited already.
  if (!changed_.empty()) changed_timer_.set(base::Duration::zero(), [this] { serve_changed(); });
}

void NameSupervisor::refresh(model::NetworkId network) {
  const auto zone = zone_of_(network);
  if (!zone) {
    if (!served_.contains(network)) return;
    if (auto stopped = stop(network); !stopped) {
      say(LogLevel::Error, stopped.error().message);
      retry_later(network, *served_.at(network));
    }
    return;
  }
  const auto brought = bring(*zone);
  if (brought) return;
  say(LogLevel::Error, "names of network " + zone->network_name + ": " + brought.error().message);
  const auto served = served_.find(network);
  if (served == served_.end()) return;  // no dnsmasq: `problem` says so, the next change tries
  served->second->problem = brought.error().message;
  ++served->second->failures;
  retry_later(network, *served->second);
}

void NameSupervisor::handle_exit(model::NetworkId network) {
  const auto found = served_.find(network);
  if (found == served_.end()) return;
  Served& served = *found->second;
  served.watch.stop();
  const bool stable = os::now() - served.started >= kStableAfter;
  served.failures = stable ? 1 : served.failures + 1;
  say(LogLevel::Error, "the name server of network " + served.name + " " + served.server.reap());
  if (served.failures <= kFastRestarts)
    refresh(network);
  else
    retry_later(network, served);
}

void NameSupervisor::retry_later(model::NetworkId network, Served& served) {
  const unsigned doublings =
      served.failures > kFastRestarts ? served.failures - kFastRestarts - 1 : 0;
  base::Duration pause = kFirstBackoff;
  for (unsigned i = 0; i < doublings && pause < kMaxBackoff; ++i) pause *= 2;
  served.retry.set(std::min(pause, kMaxBackoff), [this, network] { refresh(network); });
}

std::string NameSupervisor::problem(model::NetworkId network) const {
  const auto found = served_.find(network);
  if (found == served_.end()) {
    if (changed_.contains(network)) return {};  // it is about to be served
    const auto program = services::find_name_server_program();
    return program ? "nobody answers" : program.error().message + " (" + program.error().hint + ")";
  }
  const Served& served = *found->second;
  if (!served.problem.empty()) return served.problem;
  const bool stable = os::now() - served.started >= kStableAfter;
  const bool flaps = !stable && served.failures > kFastRestarts;
  if (served.server.process().pidfd && !flaps) return {};
  return "the server ends again and again; its messages are in " + served.server.files().log;
}

std::vector<std::string> NameSupervisor::forwarder_warnings(const model::NameZone& zone) const {
  std::vector<std::string> out;
  if (zone.ask_the_host && resolvers_.empty()) {
    out.push_back(
        "other names are not answered: this host's resolv.conf names nobody who could be "
        "asked; name one: warren network set " +
        zone.network_name + " --forwarder ADDRESS");
  }
  const auto found = served_.find(zone.network);
  if (found != served_.end() && !found->second->ways.problem().empty()) {
    out.push_back("not all forwarders can be asked: " + found->second->ways.problem());
  }
  return out;
}

std::vector<std::string> NameSupervisor::warnings(const model::NameZone& zone) const {
  std::vector<std::string> out = forwarder_warnings(zone);
  const auto found = served_.find(zone.network);
  if (found == served_.end()) return out;
  const Served& served = *found->second;
  if (!zone.host_link.empty() && !served.host_problem.empty()) {
    out.push_back("this host has a route but does not resolve names below " + zone.domain + ": " +
                  served.host_problem + "; ask " + zone.listen.front().to_string() + " for them");
  }
  return out;
}

std::vector<std::string> NameSupervisor::differences(const model::NameZone& zone) {
  const auto found = served_.find(zone.network);
  if (found == served_.end()) return {"missing: the name server"};
  return found->second->server.differences();
}

}  // namespace warren::gateway
