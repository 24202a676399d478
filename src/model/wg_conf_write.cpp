#include "model/wg_conf.hpp"

namespace warren::model {

namespace {

std::string host_port_text(const base::HostPort& at) {
  const bool brackets = at.host.find(':') != std::string::npos;
  return (brackets ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port);
}

/// "A, B" of anything with to_string().
template <typename T>
void append_list(std::string& out, std::string_view key, const std::vector<T>& values) {
  if (values.empty()) return;
  out.append(key).append(" = ");
  for (std::size_t i = 0; i < values.size(); ++i) {
    out.append(i == 0 ? "" : ", ").append(values[i].to_string());
  }
  out += '\n';
}

void append(std::string& out, std::string_view key, const std::string& value) {
  out.append(key).append(" = ").append(value) += '\n';
}

void append_secret(std::string& out, std::string_view key, const ConfKey& secret) {
  std::string text = base::to_base64(secret.view());
  append(out, key, text);
  wipe_text(text);
}

/// `key_line` stands in for the private key unless it is empty.
void append_interface(std::string& out, const ConfInterface& interface, std::string_view key_line) {
  out += "[Interface]\n";
  if (key_line.empty()) {
    append_secret(out, "PrivateKey", interface.private_key);
  } else {
    out.append(key_line) += '\n';
  }
  append_list(out, "Address", interface.addresses);
  if (interface.listen_port) append(out, "ListenPort", std::to_string(*interface.listen_port));
  if (interface.fwmark != 0) append(out, "FwMark", std::to_string(interface.fwmark));
  append_list(out, "DNS", interface.dns_servers);
  for (const std::string& domain : interface.dns_search) append(out, "DNS", domain);
  if (interface.mtu) append(out, "MTU", std::to_string(*interface.mtu));
  if (!interface.table.empty()) append(out, "Table", interface.table);
  if (interface.save_config) append(out, "SaveConfig", "true");
  for (const ConfHook& hook : interface.hooks) append(out, hook.key, hook.command);
}

void append_peer(std::string& out, const ConfPeer& peer) {
  out += "\n[Peer]\n";
  append(out, "PublicKey", peer.public_key.base64());
  if (peer.preshared_key) append_secret(out, "PresharedKey", *peer.preshared_key);
  append_list(out, "AllowedIPs", peer.allowed_ips);
  if (peer.endpoint) append(out, "Endpoint", host_port_text(*peer.endpoint));
  if (const auto seconds = peer.persistent_keepalive_s) {
    append(out, "PersistentKeepalive", *seconds == 0 ? "off" : std::to_string(*seconds));
  }
}

std::string write_conf(const WgConf& conf, std::string_view key_line) {
  // Reserved, so that growing leaves no copy of a key behind in freed memory.
  std::size_t estimate = 4096 + key_line.size() + 64 * conf.interface.addresses.size();
  for (const ConfHook& hook : conf.interface.hooks) estimate += 16 + hook.command.size();
  for (const ConfPeer& peer : conf.peers) estimate += 512 + 48 * peer.allowed_ips.size();
  std::string out;
  out.reserve(estimate);
  append_interface(out, conf.interface, key_line);
  for (const ConfPeer& peer : conf.peers) append_peer(out, peer);
  return out;
}

}  // namespace

std::string WgConf::write() const { return write_conf(*this, ""); }

std::string WgConf::write_without_key(std::string_view line) const {
  return write_conf(*this, line);
}

}  // namespace warren::model
