// The members of every document, listed once: a visitor that writes and one that reads go through
// the same list, so that the two cannot differ. For json.cpp and schema.hpp alone.
//
// `required`: a document without the key is refused. `optional`: the member keeps its default.
#pragma once

#include <type_traits>

#include "api/certificate_fields.hpp"
#include "api/types.hpp"

namespace warren::api {

template <typename Visitor, typename T>
void visit_fields(Visitor& v, T& d);

template <typename Visitor>
struct Fields : CertificateFields<Visitor> {
  using CertificateFields<Visitor>::of;
  using CertificateFields<Visitor>::v;

  template <typename D>
  void of(Empty*, D&) {}

  template <typename D>
  void of(RoleAdd*, D& d) {
    v.required("name", d.name);
    of(static_cast<RoleSet*>(nullptr), d);
  }

  template <typename D>
  void of(RoleSet*, D& d) {
    v.optional("range", d.range);
    v.optional("range6", d.range6);
    v.optional("max_members", d.max_members);
    v.optional("expires_s", d.expires_s);
  }

  template <typename D>
  void of(RoleView*, D& d) {
    v.required("network", d.network);
    v.required("name", d.name);
    v.required("range", d.range);
    v.required("range6", d.range6);
    v.required("members", d.members);
    v.required("max_members", d.max_members);
    v.required("expires_s", d.expires_s);
    v.required("is_default", d.is_default);
  }

  template <typename D>
  void of(RoleList*, D& d) {
    v.required("roles", d.roles);
  }

  template <typename D>
  void of(PolicySet*, D& d) {
    v.required("lines", d.lines);
  }

  template <typename D>
  void of(PolicyView*, D& d) {
    v.required("network", d.network);
    v.required("present", d.present);
    v.required("in_force", d.in_force);
    v.required("lines", d.lines);
    v.required("rules", d.rules);
    v.required("warnings", d.warnings);
  }

  template <typename D>
  void of(PolicyView::Rule*, D& d) {
    v.required("line", d.line);
    v.required("text", d.text);
  }

  template <typename D>
  void of(PolicyTest*, D& d) {
    v.required("from", d.from);
    v.required("to", d.to);
    v.optional("port", d.port);
  }

  template <typename D>
  void of(PolicyAnswer*, D& d) {
    v.required("network", d.network);
    v.required("allowed", d.allowed);
    v.required("line", d.line);
    v.required("rule", d.rule);
    v.required("reason", d.reason);
  }

  template <typename D>
  void of(VerifyReport*, D& d) {
    v.required("networks", d.networks);
    v.required("differences", d.differences);
  }

  template <typename D>
  void of(VerifyReport::Difference*, D& d) {
    v.required("network", d.network);
    v.required("part", d.part);
    v.required("what", d.what);
    v.required("repair", d.repair);
  }

  template <typename D>
  void of(NetworkCreate*, D& d) {
    v.required("name", d.name);
    v.optional("subnet", d.subnet);
    v.optional("subnet6", d.subnet6);
    v.optional("port", d.port);
    v.optional("endpoint", d.endpoint);
    v.optional("dns", d.dns);
    v.optional("nat", d.nat);
    v.optional("gateway_addresses", d.gateway_addresses);
    v.optional("reserve", d.reserve);
    v.optional("roles", d.roles);
    v.optional("default_role", d.default_role);
    v.optional("max_members", d.max_members);
    v.optional("max_devices", d.max_devices);
    v.optional("names", d.names);
    v.optional("forwarders", d.forwarders);
    v.optional("attach", d.attach);
    v.optional("host_access", d.host_access);
    v.optional("listen", d.listen);
    v.optional("ca_certificates", d.ca_certificates);
    v.optional("ca_key", d.ca_key);
  }

  template <typename D>
  void of(NetworkSet*, D& d) {
    v.optional("endpoint", d.endpoint);
    v.optional("dns", d.dns);
    v.optional("nat", d.nat);
    v.optional("reserve", d.reserve);
    v.optional("default_role", d.default_role);
    v.optional("max_members", d.max_members);
    v.optional("max_devices", d.max_devices);
    v.optional("names", d.names);
    v.optional("forwarders", d.forwarders);
    v.optional("host_access", d.host_access);
    v.optional("subnet", d.subnet);
    v.optional("subnet6", d.subnet6);
    v.optional("port", d.port);
    v.optional("gateway_addresses", d.gateway_addresses);
  }

  template <typename D>
  void of(ForwardAdd*, D& d) {
    v.required("from", d.from);
    v.required("peer", d.peer);
    v.optional("to_port", d.to_port);
  }

  template <typename D>
  void of(ForwardView*, D& d) {
    v.required("from", d.from);
    v.required("public_address", d.public_address);
    v.required("network", d.network);
    v.required("peer", d.peer);
    v.required("address", d.address);
    v.required("address6", d.address6);
    v.required("to_port", d.to_port);
    v.optional("public_addresses", d.public_addresses);
  }

  template <typename D>
  void of(ForwardList*, D& d) {
    v.required("forwards", d.forwards);
  }

  template <typename D>
  void of(NetworkView*, D& d) {
    v.required("id", d.id);
    v.required("name", d.name);
    v.required("subnet", d.subnet);
    v.required("subnet6", d.subnet6);
    v.required("gateway", d.gateway);
    v.required("gateway6", d.gateway6);
    v.required("port", d.port);
    v.required("endpoint", d.endpoint);
    v.required("interface_name", d.interface_name);
    v.required("netns", d.netns);
    v.required("public_key", d.public_key);
    v.required("dns", d.dns);
    v.required("nat", d.nat);
    v.required("peers", d.peers);
    v.required("connected", d.connected);
    v.required("engine", d.engine);
    v.optional("engine_report", d.engine_report);
    v.required("created", d.created);
    v.required("stopped", d.stopped);
    v.required("reserved", d.reserved);
    v.optional("default_role", d.default_role);
    v.optional("roles", d.roles);
    v.optional("max_members", d.max_members);
    v.optional("policy", d.policy);
    v.optional("max_devices", d.max_devices);
    v.optional("names", d.names);
    v.optional("forwarders", d.forwarders);
    v.optional("attach", d.attach);
    v.optional("host_access", d.host_access);
    v.optional("listen", d.listen);
    v.required("warnings", d.warnings);
  }

  template <typename D>
  void of(EngineReport*, D& d) {
    v.required("features", d.features);
    v.required("counters", d.counters);
  }

  template <typename D>
  void of(EngineReport::Counter*, D& d) {
    v.required("name", d.name);
    v.required("value", d.value);
  }

  template <typename D>
  void of(NetworkList*, D& d) {
    v.required("networks", d.networks);
  }

  template <typename D>
  void of(InviteRequest*, D& d) {
    v.required("name", d.name);
    v.optional("role", d.role);
    v.optional("expires_s", d.expires_s);
    v.optional("uses", d.uses);
    v.optional("lease_s", d.lease_s);
    v.optional("person", d.person);
  }

  template <typename D>
  void of(Invitation*, D& d) {
    v.required("network", d.network);
    v.required("name", d.name);
    v.required("token", d.token);
    v.required("expires", d.expires);
    v.optional("uses", d.uses);
  }

  template <typename D>
  void of(PeerView*, D& d) {
    v.required("network", d.network);
    v.required("name", d.name);
    v.required("role", d.role);
    v.required("state", d.state);
    v.required("address", d.address);
    v.required("address6", d.address6);
    v.required("public_key", d.public_key);
    v.required("endpoint", d.endpoint);
    v.required("last_handshake", d.last_handshake);
    v.required("rx_bytes", d.rx_bytes);
    v.required("tx_bytes", d.tx_bytes);
    v.required("invited", d.invited);
    v.required("enrolled", d.enrolled);
    v.required("revoked", d.revoked);
    v.required("expires", d.expires);
    v.optional("lease_s", d.lease_s);
    v.optional("lease_left_s", d.lease_left_s);
    v.required("alternates", d.alternates);
    v.optional("person", d.person);
  }

  template <typename D>
  void of(PeerAdd*, D& d) {
    v.required("name", d.name);
    v.optional("role", d.role);
    v.optional("public_key", d.public_key);
    v.optional("addresses", d.addresses);
    v.optional("expires_s", d.expires_s);
    v.optional("person", d.person);
  }

  template <typename D>
  void of(PeerBatch*, D& d) {
    v.required("peers", d.peers);
  }

  template <typename D>
  void of(PeerKey*, D& d) {
    v.required("public_key", d.public_key);
  }

  template <typename D>
  void of(PeerRename*, D& d) {
    v.required("name", d.name);
  }

  template <typename D>
  void of(PeerList*, D& d) {
    v.required("peers", d.peers);
  }

  template <typename D>
  void of(Revocation*, D& d) {
    v.required("network", d.network);
    v.required("name", d.name);
    v.required("steps", d.steps);
    v.required("total_ms", d.total_ms);
    v.required("pending", d.pending);
  }

  template <typename D>
  void of(RevocationList*, D& d) {
    v.required("revocations", d.revocations);
    v.required("refused_keys", d.refused_keys);
    v.required("total_ms", d.total_ms);
  }

  template <typename D>
  void of(Revocation::StepTime*, D& d) {
    v.required("step", d.step);
    v.required("ms", d.ms);
  }

  template <typename D>
  void of(Status*, D& d) {
    v.required("version", d.version);
    v.required("state_dir", d.state_dir);
    v.required("started", d.started);
    v.required("networks", d.networks);
    v.required("peers", d.peers);
    v.required("ready", d.ready);
    v.required("problems", d.problems);
  }

  template <typename D>
  void of(AuditEntry*, D& d) {
    v.required("number", d.number);
    v.required("time", d.time);
    v.required("time_ns", d.time_ns);
    v.required("actor", d.actor);
    v.required("action", d.action);
    v.required("target", d.target);
    v.required("result", d.result);
    v.required("chain", d.chain);
  }

  template <typename D>
  void of(Reloaded*, D& d) {
    v.required("at_next_start", d.at_next_start);
  }

  template <typename D>
  void of(AuditSpan*, D& d) {
    v.required("before", d.before);
    v.required("anchor", d.anchor);
    v.required("last", d.last);
    v.required("head", d.head);
  }

  template <typename D>
  void of(AuditList*, D& d) {
    v.required("records", d.records);
    v.optional("through", d.through);
  }

  template <typename D>
  void of(TokenCreate*, D& d) {
    v.required("name", d.name);
    v.optional("network", d.network);
    v.optional("read_only", d.read_only);
    v.optional("expires_s", d.expires_s);
  }

  template <typename D>
  void of(TokenView*, D& d) {
    v.required("name", d.name);
    v.required("network", d.network);
    v.required("read_only", d.read_only);
    v.required("created", d.created);
    v.required("expires", d.expires);
  }

  template <typename D>
  void of(TokenList*, D& d) {
    v.required("tokens", d.tokens);
  }

  template <typename D>
  void of(TokenCreated*, D& d) {
    v.required("token", d.token);
    v.required("secret", d.secret);
    v.required("bundle", d.bundle);
  }

  template <typename D>
  void of(Event*, D& d) {
    v.required("number", d.number);
    v.required("time", d.time);
    v.required("kind", d.kind);
    v.required("actor", d.actor);
    v.required("action", d.action);
    v.required("target", d.target);
    v.required("network", d.network);
    v.required("peer", d.peer);
    v.required("result", d.result);
  }

  template <typename D>
  void of(EnrolRequest*, D& d) {
    v.required("secret", d.secret);
    v.required("public_key", d.public_key);
    v.required("time", d.time);
    v.optional("ephemeral", d.ephemeral);
    v.optional("certificate_request", d.certificate_request);
  }

  template <typename D>
  void of(EnvironmentVariable*, D& d) {
    v.required("name", d.name);
    v.required("value", d.value);
  }

  template <typename D>
  void of(Environment*, D& d) {
    v.required("network", d.network);
    v.required("variables", d.variables);
  }

  template <typename D>
  void of(EnrolAnswer*, D& d) {
    v.required("network", d.network);
    v.required("name", d.name);
    v.required("address", d.address);
    v.required("address6", d.address6);
    v.required("gateway", d.gateway);
    v.required("gateway6", d.gateway6);
    v.required("gateway_key", d.gateway_key);
    v.required("endpoint", d.endpoint);
    v.required("routes", d.routes);
    v.required("dns", d.dns);
    v.required("mtu", d.mtu);
    v.optional("lease_s", d.lease_s);
    v.optional("revision", d.revision);
    v.optional("authorities", d.authorities);
    v.optional("certificate", d.certificate);
    v.optional("environment", d.environment);
  }

  template <typename D>
  void of(MemberRequest*, D& d) {
    v.required("network", d.network);
    v.required("public_key", d.public_key);
    v.required("proof", d.proof);
    v.optional("revision", d.revision);
    v.optional("wait_s", d.wait_s);
    v.optional("certificate_request", d.certificate_request);
  }

  template <typename D>
  void of(MemberState*, D& d) {
    v.required("revision", d.revision);
    v.required("profile", d.profile);
    v.required("enrol_at", d.enrol_at);
    v.optional("come_back", d.come_back);
  }

  template <typename D>
  void of(MemberLeft*, D& d) {
    v.required("network", d.network);
    v.required("name", d.name);
  }
};

template <typename Visitor, typename T>
void visit_fields(Visitor& v, T& d) {
  Fields<Visitor>{{v}}.of(static_cast<std::remove_const_t<T>*>(nullptr), d);
}

}  // namespace warren::api
