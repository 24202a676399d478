// Theory of operation
//
// A `set` is a list of lines; `public_key` opens a peer, and what follows belongs to it. Parsing
// fills a value and touches nothing else, so that a malformed line anywhere leaves everything as it
// was. Answers to malformed requests are those of wireguard-go: EPROTO for a line that is not
// key=value, EINVAL for an unknown key or a bad value. Secrets are decoded straight into
// crypto::Secret and encoded straight into the output; no temporary ever holds one.
#include "ipc/uapi.hpp"

#include "ipc/uapi_lines.hpp"
#include "ipc/uapi_text.hpp"

namespace warren::ipc {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

base::Result<UapiLine> expect_line(std::string_view& rest) {
  const auto line = next_line(rest);
  if (!line) return uapi_error(EPROTO, "userspace API: a line is not key=value");
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
  if (!value) return bad_uapi_value(line.key);
  return static_cast<int>(*value);
}

base::Status parse_peer_status_line(const UapiLine& line, UapiPeerStatus& peer) {
  if (line.key == "preshared_key") {
    WARREN_TRY_ASSIGN(peer.preshared_key, uapi_secret(line));
  } else if (line.key == "endpoint") {
    peer.endpoint = base::Endpoint::parse(line.value);
    if (!peer.endpoint) return bad_uapi_value(line.key);
  } else if (line.key == "last_handshake_time_sec") {
    WARREN_TRY_ASSIGN(const auto seconds, uapi_number<std::uint32_t>(line));
    peer.last_handshake.ns = seconds * kSecond + peer.last_handshake.ns % kSecond;
  } else if (line.key == "last_handshake_time_nsec") {
    const auto nanoseconds = base::parse_number(line.value, 0, kSecond - 1);
    if (!nanoseconds) return bad_uapi_value(line.key);
    peer.last_handshake.ns -= peer.last_handshake.ns % kSecond;
    peer.last_handshake.ns += static_cast<std::int64_t>(*nanoseconds);
  } else if (line.key == "rx_bytes") {
    WARREN_TRY_ASSIGN(peer.rx_bytes, uapi_number<std::uint64_t>(line));
  } else if (line.key == "tx_bytes") {
    WARREN_TRY_ASSIGN(peer.tx_bytes, uapi_number<std::uint64_t>(line));
  } else if (line.key == "persistent_keepalive_interval") {
    WARREN_TRY_ASSIGN(peer.persistent_keepalive_s, uapi_number<std::uint16_t>(line));
  } else if (line.key == "allowed_ip") {
    WARREN_TRY_ASSIGN(const base::Prefix parsed, uapi_prefix(line, line.value));
    peer.allowed_ips.push_back(parsed);
  }
  return {};  // keys of later versions are passed over
}

base::Status parse_status_line(const UapiLine& line, UapiStatus& status) {
  if (line.key == "public_key") {
    WARREN_TRY_ASSIGN(const base::PublicKey key, parse_uapi_public_key(line));
    status.peers.emplace_back().public_key = key;
  } else if (!status.peers.empty()) {
    return parse_peer_status_line(line, status.peers.back());
  } else if (line.key == "private_key") {
    WARREN_TRY_ASSIGN(status.private_key, uapi_secret(line));
  } else if (line.key == "listen_port") {
    WARREN_TRY_ASSIGN(status.listen_port, uapi_number<std::uint16_t>(line));
  } else if (line.key == "fwmark") {
    WARREN_TRY_ASSIGN(status.fwmark, uapi_number<std::uint32_t>(line));
  }
  return {};
}

}  // namespace

base::Result<UapiSet> parse_uapi_set(std::string_view body) {
  UapiSet set;
  while (!body.empty()) {
    WARREN_TRY_ASSIGN(const UapiLine line, expect_line(body));
    if (line.key == "public_key") {
      WARREN_TRY_ASSIGN(const base::PublicKey key, parse_uapi_public_key(line));
      set.peers.emplace_back().public_key = key;
    } else if (set.peers.empty()) {
      WARREN_TRY(parse_uapi_interface_line(line, set));
    } else {
      WARREN_TRY(parse_uapi_peer_line(line, set.peers.back()));
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
      if (text != "\n") return uapi_error(EPROTO, "userspace API: the answer goes on after errno");
      return status;
    }
    WARREN_TRY(parse_status_line(line, status));
  }
  return uapi_error(EPROTO, "userspace API: the answer has no errno line");
}

base::Status parse_uapi_result(std::string_view text) {
  WARREN_TRY_ASSIGN(const UapiLine line, expect_line(text));
  if (line.key != "errno" || text != "\n") {
    return uapi_error(EPROTO, "userspace API: the answer to set is not one errno line");
  }
  WARREN_TRY_ASSIGN(const int error, parse_errno(line));
  if (error != 0) return base::os_error("userspace API: set", error);
  return {};
}

}  // namespace warren::ipc
