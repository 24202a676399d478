// What `warren run openconnect://…` and the program that holds the AnyConnect session say to each
// other: one message per datagram on a SOCK_SEQPACKET unix socket pair, a descriptor beside it
// where it says so. Layout: docs/formats/anyconnect.md. Pure: bytes in, values out.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::ipc {

inline constexpr const char* kAnyConnectVersion = "1";
/// The inherited descriptor of the session program's end.
inline constexpr int kAnyConnectFd = 3;
inline constexpr std::size_t kMaxAnyConnectMessage = 64 << 10;
/// What a server may name of each kind.
inline constexpr std::size_t kMaxSplitRoutes = 512;
inline constexpr std::size_t kMaxSessionNames = 16;

enum class AnyConnectType : char {
  // to the session program
  Start = 's',   ///< first message: what to connect to; fields below
  Answer = 'a',  ///< text: to its oldest question
  Tun = 't',     ///< descriptor: the tun; only after Session
  End = 'e',     ///< log out and end
  // from it
  Question = 'Q',  ///< name, label, message, secret, key, attempt: see the format's document
  Session = 'S',   ///< an AnyConnectSession: the server accepted us
  Up = 'U',        ///< packets flow; mtu, transport ("dtls" or "tls")
  Notice = 'N',    ///< text: for people
  Failure = 'F',   ///< kind, message, hint; it ends
};

struct AnyConnectMessage {
  AnyConnectType type = AnyConnectType::Failure;
  std::vector<std::pair<std::string, std::string>> fields;

  AnyConnectMessage& add(std::string key, std::string value);
  /// The first value of this key; empty when there is none.
  [[nodiscard]] std::string get(const std::string& key) const;
  [[nodiscard]] std::vector<std::string> all(const std::string& key) const;
  /// Overwrites every value, for a message that held a secret.
  void wipe();
};

/// Fields that would not fit are an error of the caller: Invalid.
[[nodiscard]] base::Result<std::vector<std::uint8_t>> write_anyconnect(
    const AnyConnectMessage& message);
/// Invalid: no type, a field without "=" or without its end.
[[nodiscard]] base::Result<AnyConnectMessage> parse_anyconnect(base::Bytes bytes);

/// What the server gave. Everything in it comes from a stranger.
struct AnyConnectSession {
  std::vector<base::Prefix> addresses;  ///< ours, with the length of the network they are in
  std::vector<base::IpAddress> dns_servers;
  std::vector<std::string> dns_search;
  std::uint32_t mtu = 0;
  std::vector<base::Prefix> includes;  ///< empty: everything
  std::vector<base::Prefix> excludes;
  std::string cookie;  ///< resumes the session; a secret
  std::string pin;     ///< "pin-sha256:…" of the server's key
};

[[nodiscard]] AnyConnectMessage write_session(const AnyConnectSession& session);
/// Invalid: no address, a malformed or unusable one, more than the limits, an MTU out of range, a
/// search domain that is no name.
[[nodiscard]] base::Result<AnyConnectSession> parse_session(const AnyConnectMessage& message);

/// An error as the fields of a Failure, and back.
[[nodiscard]] AnyConnectMessage write_failure(const base::Error& error);
[[nodiscard]] base::Error parse_failure(const AnyConnectMessage& message);

}  // namespace warren::ipc
