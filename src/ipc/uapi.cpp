// Theory of operation
//
// A `set` is a list of lines; `public_key` opens a peer, and what follows belongs to it. Parsing
// fills a value and touches nothing else, so that a malformed line anywhere leaves everything as it
// was. Answers to malformed requests are those of wireguard-go: EPROTO for a line that is not
// key=value, EINVAL for an unknown key or a bad value. Secrets are decoded straight into
// crypto::Secret and encoded straight into the output; no temporary ever holds one.
#include "ipc/uapi.hpp"

#include <limits>

#include "ipc/uapi_text.hpp"

namespace warren::ipc {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

base::Error bad(int error_number, std::string message) {
  base::Error error = base::make_error(base::ErrorKind::Invalid, std::move(message));
  error.os_errno = error_number;
  return error;
}

/// Never names the value: it may be a key.
base::Error bad_value(std::string_view key) {
  return bad(EINVAL, "userspace API: bad value of " + std::string(key));
}

template <typename T>
base::Result<T> number(const UapiLine& line) {
  const auto value = base::parse_number(line.value, 0, std::numeric_limits<T>::max());
  if (!value) return bad_value(line.key);
  return static_cast<T>(*value);
}

base::Result<bool> only_true(const UapiLine& line) {
  if (line.value != "true") return bad_value(line.key);
  return true;
}

base::Result<crypto::Secret<32>> secret(const UapiLine& line) {
  crypto::Secret<32> out;
  if (!base::parse_hex(line.value, out.fill())) return bad_value(line.key);
  return out;
}

base::Result<base::Prefix> prefix(const UapiLine& line, std::string_view text) {
  const auto parsed = base::Prefix::parse(text);
  if (!parsed || text.find('/') == std::string_view::npos) return bad_value(line.key);
  return parsed->network();
}

base::Status parse_allowed_ip(const UapiLine& line, UapiPeer& peer) {
  std::string_view text = line.value;
  const bool remove = text.starts_with('-');
  if (remove || text.starts_with('+')) text.remove_prefix(1);
  WARREN_TRY_ASSIGN(const base::Prefix parsed, prefix(line, text));
  peer.allowed_ips.push_back({parsed, remove});
  return {};
}

base::Status parse_peer_line(const UapiLine& line, UapiPeer& peer) {
  if (line.key == "allowed_ip") return parse_allowed_ip(line, peer);
  if (line.key == "preshared_key") {
    WARREN_TRY_ASSIGN(peer.preshared_key, secret(line));
  } else if (line.key == "endpoint") {
    peer.endpoint = base::Endpoint::parse(line.value);
    if (!peer.endpoint) return bad_value(line.key);
  } else if (line.key == "persistent_keepalive_interval") {
    WARREN_TRY_ASSIGN(peer.persistent_keepalive_s, number<std::uint16_t>(line));
  } else if (line.key == "replace_allowed_ips") {
    WARREN_TRY_ASSIGN(peer.replace_allowed_ips, only_true(line));
    peer.allowed_ips.clear();  // what came before is replaced as well
  } else if (line.key == "remove") {
    WARREN_TRY_ASSIGN(peer.remove, only_true(line));
  } else if (line.key == "update_only") {
    WARREN_TRY_ASSIGN(peer.update_only, only_true(line));
  } else if (line.key == "protocol_version") {
    if (line.value != "1") return bad_value(line.key);
  } else {
    return bad(EINVAL, "userspace API: unknown key of a peer");
  }
  return {};
}

base::Status parse_interface_line(const UapiLine& line, UapiSet& set) {
  if (line.key == "private_key") {
    WARREN_TRY_ASSIGN(set.private_key, secret(line));
  } else if (line.key == "listen_port") {
    WARREN_TRY_ASSIGN(set.listen_port, number<std::uint16_t>(line));
  } else if (line.key == "fwmark") {
    WARREN_TRY_ASSIGN(set.fwmark, number<std::uint32_t>(line));
  } else if (line.key == "replace_peers") {
    WARREN_TRY_ASSIGN(set.replace_peers, only_true(line));
  } else {
    return bad(EINVAL, "userspace API: unknown key of the interface");
  }
  return {};
}

base::Result<base::PublicKey> parse_public_key(const UapiLine& line) {
  const auto key = base::PublicKey::parse_hex(line.value);
  if (!key) return bad_value(line.key);
  return *key;
}

base::Result<UapiLine> expect_line(std::string_view& rest) {
  const auto line = next_line(rest);
  if (!line) return bad(EPROTO, "userspace API: a line is not key=value");
  return *line;
}

void write_peer_settings(std::string& out, const UapiPeer& peer) {
  append_hex_line(out, "public_key", peer.public_key.bytes);
  if (peer.remove) append_line(out, "remove", "true");
  if (peer.update_only) append_line(out, "update_only", "true");
  if (peer.preshared_key) append_hex_line(out, "preshared_key", peer.preshared_key->view());
  if (peer.endpoint) append_line(out, "endpoint", peer.endpoint->to_string());
  if (peer.persistent_keepalive_s) {
    append_line(out, "persistent_keepalive_interval", *peer.persistent_keepalive_s);
  }
  if (peer.replace_allowed_ips) append_line(out, "replace_allowed_ips", "true");
  for (const UapiAllowedIp& allowed : peer.allowed_ips) {
    append_line(out, "allowed_ip", (allowed.remove ? "-" : "") + allowed.prefix.to_string());
  }
}

/// A positive errno from the value of an `errno` line; implementations send it negative.
base::Result<int> parse_errno(const UapiLine& line) {
  std::string_view digits = line.value;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  const auto value = base::parse_number(digits, 0, 4095);
  if (!value) return bad_value(line.key);
  return static_cast<int>(*value);
}

base::Status parse_peer_status_line(const UapiLine& line, UapiPeerStatus& peer) {
  if (line.key == "preshared_key") {
    WARREN_TRY_ASSIGN(peer.preshared_key, secret(line));
  } else if (line.key == "endpoint") {
    peer.endpoint = base::Endpoint::parse(line.value);
    if (!peer.endpoint) return bad_value(line.key);
  } else if (line.key == "last_handshake_time_sec") {
    WARREN_TRY_ASSIGN(const auto seconds, number<std::uint32_t>(line));
    peer.last_handshake.ns = seconds * kSecond + peer.last_handshake.ns % kSecond;
  } else if (line.key == "last_handshake_time_nsec") {
    const auto nanoseconds = base::parse_number(line.value, 0, kSecond - 1);
    if (!nanoseconds) return bad_value(line.key);
    peer.last_handshake.ns -= peer.last_handshake.ns % kSecond;
    peer.last_handshake.ns += static_cast<std::int64_t>(*nanoseconds);
  } else if (line.key == "rx_bytes") {
    WARREN_TRY_ASSIGN(peer.rx_bytes, number<std::uint64_t>(line));
  } else if (line.key == "tx_bytes") {
    WARREN_TRY_ASSIGN(peer.tx_bytes, number<std::uint64_t>(line));
  } else if (line.key == "persistent_keepalive_interval") {
    WARREN_TRY_ASSIGN(peer.persistent_keepalive_s, number<std::uint16_t>(line));
  } else if (line.key == "allowed_ip") {
    WARREN_TRY_ASSIGN(const base::Prefix parsed, prefix(line, line.value));
    peer.allowed_ips.push_back(parsed);
  }
  return {};  // keys of later versions are passed over
}

base::Status parse_status_line(const UapiLine& line, UapiStatus& status) {
  if (line.key == "public_key") {
    WARREN_TRY_ASSIGN(const base::PublicKey key, parse_public_key(line));
    status.peers.emplace_back().public_key = key;
  } else if (!status.peers.empty()) {
    return parse_peer_status_line(line, status.peers.back());
  } else if (line.key == "private_key") {
    WARREN_TRY_ASSIGN(status.private_key, secret(line));
  } else if (line.key == "listen_port") {
    WARREN_TRY_ASSIGN(status.listen_port, number<std::uint16_t>(line));
  } else if (line.key == "fwmark") {
    WARREN_TRY_ASSIGN(status.fwmark, number<std::uint32_t>(line));
  }
  return {};
}

}  // namespace

base::Result<UapiSet> parse_uapi_set(std::string_view body) {
  UapiSet set;
  while (!body.empty()) {
    WARREN_TRY_ASSIGN(const UapiLine line, expect_line(body));
    if (line.key == "public_key") {
      WARREN_TRY_ASSIGN(const base::PublicKey key, parse_public_key(line));
      set.peers.emplace_back().public_key = key;
    } else if (set.peers.empty()) {
      WARREN_TRY(parse_interface_line(line, set));
    } else {
      WARREN_TRY(parse_peer_line(line, set.peers.back()));
    }
  }
  return set;
}

std::string write_uapi_set(const UapiSet& set) {
  std::string out;
  append_line(out, "set", "1");
  if (set.private_key) append_hex_line(out, "private_key", set.private_key->view());
  if (set.listen_port) append_line(out, "listen_port", *set.listen_port);
  if (set.fwmark) append_line(out, "fwmark", *set.fwmark);
  if (set.replace_peers) append_line(out, "replace_peers", "true");
  for (const UapiPeer& peer : set.peers) write_peer_settings(out, peer);
  reserve_wiped(out, 1);
  out.append(1, '\n');
  return out;
}

void write_uapi_interface(std::string& out, const crypto::PrivateKey& key, std::uint16_t port,
                          std::uint32_t fwmark) {
  if (!key.is_zero()) append_hex_line(out, "private_key", key.view());
  if (port != 0) append_line(out, "listen_port", port);
  if (fwmark != 0) append_line(out, "fwmark", fwmark);
}

void write_uapi_peer(std::string& out, const UapiPeerStatus& peer) {
  append_hex_line(out, "public_key", peer.public_key.bytes);
  append_hex_line(out, "preshared_key", peer.preshared_key.view());
  append_line(out, "protocol_version", "1");
  if (peer.endpoint) append_line(out, "endpoint", peer.endpoint->to_string());
  const auto at = static_cast<std::uint64_t>(peer.last_handshake.ns);
  append_line(out, "last_handshake_time_sec", at / kSecond);
  append_line(out, "last_handshake_time_nsec", at % kSecond);
  append_line(out, "tx_bytes", peer.tx_bytes);
  append_line(out, "rx_bytes", peer.rx_bytes);
  append_line(out, "persistent_keepalive_interval", peer.persistent_keepalive_s);
  for (const base::Prefix& allowed : peer.allowed_ips) {
    append_line(out, "allowed_ip", allowed.to_string());
  }
}

void write_uapi_end(std::string& out, int error) {
  const std::string value = std::to_string(error > 0 ? -error : error);
  append_line(out, "errno", value);
  reserve_wiped(out, 1);
  out.append(1, '\n');
}

base::Result<UapiStatus> parse_uapi_status(std::string_view text) {
  UapiStatus status;
  while (!text.empty()) {
    WARREN_TRY_ASSIGN(const UapiLine line, expect_line(text));
    if (line.key == "errno") {
      WARREN_TRY_ASSIGN(status.error, parse_errno(line));
      if (text != "\n") return bad(EPROTO, "userspace API: the answer goes on after errno");
      return status;
    }
    WARREN_TRY(parse_status_line(line, status));
  }
  return bad(EPROTO, "userspace API: the answer has no errno line");
}

base::Status parse_uapi_result(std::string_view text) {
  WARREN_TRY_ASSIGN(const UapiLine line, expect_line(text));
  if (line.key != "errno" || text != "\n") {
    return bad(EPROTO, "userspace API: the answer to set is not one errno line");
  }
  WARREN_TRY_ASSIGN(const int error, parse_errno(line));
  if (error != 0) return base::os_error("userspace API: set", error);
  return {};
}

}  // namespace warren::ipc
