// Whether others reach what is served: each public port from outside, and the world from inside a
// network. Packets are sent and counted by the host (plan::Host); what it finds is said here in
// words, with the command that makes room.
#include <fmt/format.h>

#include "control/impl.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

/// A public port and what it is for.
struct PublicService {
  plan::PortQuestion question;
  std::string network;
  std::string what;  ///< "port 51820/udp of network lab"
};

/// What a packet from outside came in on, to be said of it.
std::string comes_in_on(const std::string& link) {
  return link.empty() ? ", tried on an interface that no filter knows by name,"
                      : fmt::format(", on {},", link);
}

api::DoctorReport::Finding finding_of(const PublicService& service,
                                      const plan::PortFinding& found) {
  api::DoctorReport::Finding out;
  out.network = service.network;
  out.what = service.what;
  const std::string served = service.question.is_forward
                                 ? std::string("it leads to its member")
                                 : fmt::format("{} listens", found.listener);
  if (!service.question.is_forward && found.listener.empty()) {
    out.state = "bad";
    out.text = "nothing listens on it";
    out.remedy = "`warren status` shows whether its engine runs";
  } else if (found.obstacle) {
    out.state = "bad";
    out.text = fmt::format("packets from outside{} are dropped by {}", comes_in_on(found.link),
                           found.obstacle->what);
    out.remedy = found.obstacle->remedy;
  } else if (!found.asked) {
    out.state = "weak";
    out.text = fmt::format("{}; it could not be tried from outside: {}", served, found.why_not);
  } else {
    out.state = "good";
    out.text =
        fmt::format("{}, and a packet from outside{} gets there", served, comes_in_on(found.link));
  }
  return out;
}

}  // namespace

base::Result<api::DoctorReport> Control::Impl::check_ports() {
  std::vector<PublicService> services;
  const auto add = [&](const model::PublicPort& port, bool is_forward, const std::string& network,
                       const std::string& of, const std::string& endpoint) {
    services.push_back({.question = {.port = port,
                                     .is_forward = is_forward,
                                     .at = base::IpAddress::parse(endpoint)},
                        .network = network,
                        .what = fmt::format("port {} {}", port.to_string(), of)});
  };
  for (const auto& [id, stored] : state.networks) {
    const model::Network& network = stored.network;
    if (network.stopped || unapplied.contains(id)) continue;
    add({model::Protocol::Udp, network.port}, false, network.name, "of network " + network.name,
        network.endpoint_host);
  }
  if (settings.enrol_port != 0) {
    add({model::Protocol::Tcp, settings.enrol_port}, false, "", "of the enrolment",
        settings.endpoint_host);
  }
  for (const auto& [from, forward] : state.forwards) {
    const model::Network& network = state.networks.at(forward.network).network;
    if (unapplied.contains(forward.network)) continue;
    add(from, true, network.name,
        fmt::format("to {} of network {}", state.peers.at(forward.peer).name, network.name),
        network.endpoint_host);
  }
  std::vector<plan::PortQuestion> questions;
  for (const PublicService& service : services) questions.push_back(service.question);
  WARREN_TRY_ASSIGN(const std::vector<plan::PortFinding> found,
                    deps.host.probe_ports(questions).within("test the public ports"));
  api::DoctorReport report;
  for (std::size_t at = 0; at < services.size() && at < found.size(); ++at) {
    report.findings.push_back(finding_of(services[at], found[at]));
  }
  return report;
}

void Control::Impl::check_bridge(const model::Network& network,
                                 std::vector<std::string>& warnings) {
  const auto found = deps.host.probe_segment(plan::host_network(network, settings.transit));
  if (!found || !*found) return;
  warnings.push_back(
      fmt::format("members do not reach the hosts of {}: what is bridged there is "
                  "dropped by {}; let it pass: {}",
                  network.attach, (*found)->what, (*found)->remedy));
}

base::Status Control::Impl::check_way_out(const model::Network& network,
                                          std::vector<std::string>& warnings) {
  const auto found = deps.host.probe_uplink(plan::host_network(network, settings.transit));
  if (!found) {
    warnings.push_back("it could not be tried whether members reach the world: " +
                       found.error().message);
    return {};
  }
  if (!*found) return {};
  const plan::Obstacle& obstacle = **found;
  if (obstacle.remedy.empty()) {
    warnings.push_back("members do not reach the world: packets are dropped by " + obstacle.what);
    return {};
  }
  return make_error(ErrorKind::Failed,
                    "members would not reach the world: packets are dropped by " + obstacle.what,
                    "let them pass: " + obstacle.remedy +
                        "; or leave the way out away with "
                        "--no-nat");
}

}  // namespace warren::control
