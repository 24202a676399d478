// What `warren doctor names` asks: each name server for the gateway and for a member, as a member
// does, and each of those whom it asks for other names, from where they are asked. All questions of
// many networks are on their way at once; a daemon that examines does nothing else, so the time is
// bounded, whatever their number.
#include <algorithm>
#include <iterator>
#include <map>

#include "gateway/limits.hpp"
#include "gateway/names_supervisor.hpp"
#include "os/clock.hpp"
#include "os/netns.hpp"
#include "services/limits.hpp"
#include "services/name_probe.hpp"

namespace warren::gateway {

namespace {

using control::NameFinding;
using services::NameAnswer;
using services::NameQuestion;

enum class About : std::uint8_t { Gateway, Member, Forwarder };

/// A question and whose finding its answer is.
struct Asked {
  NameQuestion question;
  About about = About::Gateway;
  std::size_t zone = 0;
  base::IpAddress expected;
  bool relayed = false;
};

class Questions {
 public:
  explicit Questions(const std::vector<model::NameZone>& zones) : zones_(zones) {
    if (auto here = os::current_netns()) host_ = std::move(*here);
  }
  /// Error: the network is not there.
  base::Status add(std::size_t zone, const std::vector<base::IpAddress>& forwarders);
  [[nodiscard]] std::vector<NameAnswer> ask() const;
  [[nodiscard]] const std::vector<Asked>& all() const { return all_; }

 private:
  const std::vector<model::NameZone>& zones_;
  os::Fd host_;
  std::map<std::size_t, os::Fd> namespaces_;  // of stable addresses
  std::vector<Asked> all_;
};

base::Status Questions::add(std::size_t number, const std::vector<base::IpAddress>& forwarders) {
  const model::NameZone& zone = zones_[number];
  WARREN_TRY_ASSIGN(os::Fd netns, os::open_named_netns("warren-" + zone.network_name));
  const os::Fd* const inside = &(namespaces_[number] = std::move(netns));
  const auto full = [&](const model::NamedHost& host) { return host.names[0] + "." + zone.domain; };
  for (const base::IpAddress& server : zone.listen) {
    all_.push_back({.question = {inside, server, full(zone.hosts.front())},
                    .about = About::Gateway,
                    .zone = number,
                    .expected = server});
    if (zone.hosts.size() < 2) continue;
    for (const base::IpAddress& address : zone.hosts[1].addresses) {
      if (address.family() != server.family()) continue;
      all_.push_back({.question = {inside, server, full(zone.hosts[1])},
                      .about = About::Member,
                      .zone = number,
                      .expected = address});
    }
  }
  for (const base::IpAddress& forwarder : forwarders) {
    const bool relayed = !zone.reaches(forwarder);
    all_.push_back({.question = {relayed ? &host_ : inside, forwarder, ""},
                    .about = About::Forwarder,
                    .zone = number,
                    .expected = {},
                    .relayed = relayed});
  }
  return {};
}

std::vector<NameAnswer> Questions::ask() const {
  std::vector<NameAnswer> out;
  const base::Instant deadline = os::now() + kNamesDoctor;
  for (std::size_t at = 0; at < all_.size(); at += kNamesDoctorQuestions) {
    if (os::now() >= deadline) break;
    std::vector<NameQuestion> some;
    for (std::size_t i = at; i < std::min(all_.size(), at + kNamesDoctorQuestions); ++i) {
      some.push_back(all_[i].question);
    }
    std::ranges::move(services::ask_names(some, services::kNameAnswer), std::back_inserter(out));
  }
  NameAnswer not_asked;
  not_asked.why = "it was not asked: too many others did not answer in time";
  out.resize(all_.size(), not_asked);
  return out;
}

bool knows(const Asked& asked, const NameAnswer& answer) {
  return answer.why.empty() &&
         std::ranges::find(answer.addresses, asked.expected) != answer.addresses.end();
}

NameFinding good_server(const model::NameZone& zone) {
  return {.network = zone.network_name,
          .what = "name server of network " + zone.network_name,
          .state = "good",
          .text = "",
          .remedy = ""};
}

/// Where it answers, or why it does not as it should; its finding is good until then.
void judge_server(const Asked& asked, const NameAnswer& answer, const model::NameZone& zone,
                  NameFinding& server) {
  const std::string at = asked.question.server.to_string();
  if (knows(asked, answer)) {
    if (asked.about == About::Gateway)
      server.text += (server.text.empty() ? "it answers on " : ", ") + at;
    return;
  }
  server.state = "bad";
  server.text = !answer.why.empty() ? answer.why
                                    : "asked at " + at + " it does not know " +
                                          asked.question.name + " as " + asked.expected.to_string();
  server.remedy = "`warren verify " + zone.network_name +
                  "` tells what differs; ask again: " + "warren network exec " + zone.network_name +
                  " -- getent hosts " + asked.question.name;
}

NameFinding finding_of_forwarder(const Asked& asked, const NameAnswer& answer,
                                 const model::NameZone& zone) {
  const std::string whom = asked.question.server.to_string();
  NameFinding out{
      .network = zone.network_name,
      .what = "forwarder " + whom + " of network " + zone.network_name,
      .state = "good",
      .text = asked.relayed ? "it answers; this host asks it for the network" : "it answers",
      .remedy = ""};
  if (answer.came) return out;
  out.state = "bad";
  out.text = answer.why;
  out.remedy = asked.relayed || zone.ask_the_host
                   ? "see whether this host resolves names itself (getent hosts example.org), "
                     "or name another: "
                   : "name another: ";
  out.remedy += "warren network set " + zone.network_name + " --forwarder ADDRESS";
  return out;
}

}  // namespace

bool NameSupervisor::is_running(model::NetworkId network) const {
  const auto found = served_.find(network);
  return found != served_.end() && found->second->server.process().pidfd;
}

control::NameFinding NameSupervisor::finding_of_server(const model::NameZone& zone) const {
  NameFinding out = good_server(zone);
  const std::string trouble = problem(zone.network);
  if (trouble.empty()) {
    if (is_running(zone.network)) return out;
    out.state = "weak";
    out.text = "it is being started";
    return out;
  }
  out.state = "bad";
  out.text = trouble;
  const auto found = served_.find(zone.network);
  const std::string said = found == served_.end() ? "" : found->second->server.last_message();
  if (!said.empty()) out.text += "; it said: " + said;
  out.remedy = said.find("in use") == std::string::npos
                   ? "what keeps it away stands in its messages; it is tried again by itself"
                   : "somebody else has its port inside; find and end it: warren network exec " +
                         zone.network_name + " -- ss -lnup sport = :53";
  return out;
}

std::optional<NameFinding> NameSupervisor::finding_of_host(const model::NameZone& zone) const {
  const auto found = served_.find(zone.network);
  if (zone.host_link.empty() || found == served_.end()) return std::nullopt;
  const Served& served = *found->second;
  const bool asks = served.host_problem.empty();
  return NameFinding{
      .network = zone.network_name,
      .what = "this host's names of network " + zone.network_name,
      .state = asks ? "good" : "weak",
      .text =
          asks ? "this host asks for names below " + zone.domain + " here" : served.host_problem,
      .remedy =
          asks ? ""
               : "install systemd-resolved or resolvconf: it is told at once; until then ask " +
                     zone.listen.front().to_string()};
}

std::vector<NameFinding> NameSupervisor::examine(const std::vector<model::NameZone>& zones) {
  Questions questions(zones);
  std::vector<NameFinding> servers;
  std::vector<NameFinding> asked_of;  // what the answers say of them
  for (std::size_t number = 0; number < zones.size(); ++number) {
    servers.push_back(finding_of_server(zones[number]));
    asked_of.push_back(good_server(zones[number]));
    if (!is_running(zones[number].network)) continue;
    if (const auto added = questions.add(number, forwarders_of(zones[number])); !added) {
      asked_of[number].state = "bad";
      asked_of[number].text = added.error().message;
      asked_of[number].remedy = "`warren verify` tells what of the network is missing";
    }
  }
  const std::vector<NameAnswer> answers = questions.ask();
  std::vector<NameFinding> others;
  for (std::size_t at = 0; at < answers.size(); ++at) {
    const Asked& asked = questions.all()[at];
    const model::NameZone& zone = zones[asked.zone];
    if (asked.about == About::Forwarder) {
      others.push_back(finding_of_forwarder(asked, answers[at], zone));
    } else if (asked_of[asked.zone].state == "good") {
      judge_server(asked, answers[at], zone, asked_of[asked.zone]);
    }
  }
  for (std::size_t number = 0; number < zones.size(); ++number) {
    // One that ended often and answers now is good; one that does not has its reason told.
    if (is_running(zones[number].network) &&
        (servers[number].state == "good" || asked_of[number].state == "good")) {
      servers[number] = std::move(asked_of[number]);
    }
    for (const std::string& warning : forwarder_warnings(zones[number])) {
      others.push_back({.network = zones[number].network_name,
                        .what = "forwarders of network " + zones[number].network_name,
                        .state = "weak",
                        .text = warning,
                        .remedy = ""});
    }
    if (auto host = finding_of_host(zones[number])) others.push_back(std::move(*host));
  }
  std::ranges::move(others, std::back_inserter(servers));
  return servers;
}

}  // namespace warren::gateway
