// How the lines of a `set` are parsed. Secrets are decoded straight into crypto::Secret; no
// temporary ever holds one, and no message names a value.
#include "ipc/uapi_lines.hpp"

#include <limits>

namespace warren::ipc {

base::Error uapi_error(int error_number, std::string message) {
  base::Error error = base::make_error(base::ErrorKind::Invalid, std::move(message));
  error.os_errno = error_number;
  return error;
}

base::Error bad_uapi_value(std::string_view key) {
  return uapi_error(EINVAL, "userspace API: bad value of " + std::string(key));
}

namespace {

base::Result<bool> only_true(const UapiLine& line) {
  if (line.value != "true") return bad_uapi_value(line.key);
  return true;
}

base::Status parse_allowed_ip(const UapiLine& line, UapiPeer& peer) {
  std::string_view text = line.value;
  const bool remove = text.starts_with('-');
  if (remove || text.starts_with('+')) text.remove_prefix(1);
  WARREN_TRY_ASSIGN(const base::Prefix parsed, uapi_prefix(line, text));
  peer.allowed_ips.push_back({parsed, remove});
  return {};
}

}  // namespace

base::Result<crypto::Secret<32>> uapi_secret(const UapiLine& line) {
  crypto::Secret<32> out;
  if (!base::parse_hex(line.value, out.fill())) return bad_uapi_value(line.key);
  return out;
}

base::Result<base::Prefix> uapi_prefix(const UapiLine& line, std::string_view text) {
  const auto parsed = base::Prefix::parse(text);
  if (!parsed || text.find('/') == std::string_view::npos) return bad_uapi_value(line.key);
  return parsed->network();
}

base::Status parse_uapi_peer_line(const UapiLine& line, UapiPeer& peer) {
  if (line.key == "allowed_ip") return parse_allowed_ip(line, peer);
  if (line.key == "preshared_key") {
    WARREN_TRY_ASSIGN(peer.preshared_key, uapi_secret(line));
  } else if (line.key == "endpoint") {
    peer.endpoint = base::Endpoint::parse(line.value);
    if (!peer.endpoint) return bad_uapi_value(line.key);
  } else if (line.key == "persistent_keepalive_interval") {
    WARREN_TRY_ASSIGN(peer.persistent_keepalive_s, uapi_number<std::uint16_t>(line));
  } else if (line.key == "replace_allowed_ips") {
    WARREN_TRY_ASSIGN(peer.replace_allowed_ips, only_true(line));
    peer.allowed_ips.clear();  // what came before is replaced as well
  } else if (line.key == "remove") {
    WARREN_TRY_ASSIGN(peer.remove, only_true(line));
  } else if (line.key == "update_only") {
    WARREN_TRY_ASSIGN(peer.update_only, only_true(line));
  } else if (line.key == "protocol_version") {
    if (line.value != "1") return bad_uapi_value(line.key);
  } else {
    return uapi_error(EINVAL, "userspace API: unknown key of a peer");
  }
  return {};
}

base::Status parse_uapi_interface_line(const UapiLine& line, UapiSet& set) {
  if (line.key == "private_key") {
    WARREN_TRY_ASSIGN(set.private_key, uapi_secret(line));
  } else if (line.key == "listen_port") {
    WARREN_TRY_ASSIGN(set.listen_port, uapi_number<std::uint16_t>(line));
  } else if (line.key == "fwmark") {
    WARREN_TRY_ASSIGN(set.fwmark, uapi_number<std::uint32_t>(line));
  } else if (line.key == "replace_peers") {
    WARREN_TRY_ASSIGN(set.replace_peers, only_true(line));
  } else {
    return uapi_error(EINVAL, "userspace API: unknown key of the interface");
  }
  return {};
}

base::Result<base::PublicKey> parse_uapi_public_key(const UapiLine& line) {
  const auto key = base::PublicKey::parse_hex(line.value);
  if (!key) return bad_uapi_value(line.key);
  return *key;
}

}  // namespace warren::ipc
