// Every limit of the HTTP listeners, by name. What a stranger can make the daemon hold or do is
// bounded here and nowhere else.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

namespace warren::server {

struct Limits {
  std::uint32_t header_bytes = 8 * 1024;
  std::uint64_t body_bytes = std::uint64_t{64} * 1024;
  std::size_t api_connections = 256;    ///< on the unix socket
  std::size_t enrol_connections = 128;  ///< on the enrolment listener, of strangers
  std::size_t enrol_connections_per_source = 16;
  std::uint32_t requests_per_connection = 1000;
  /// From the first byte we wait for to the last byte of a request (also an idle keep-alive).
  base::Duration read_timeout = std::chrono::seconds(10);
  base::Duration write_timeout = std::chrono::seconds(10);
  std::uint64_t slowest_reader = std::uint64_t{32} * 1024;  ///< bytes a second, besides
  base::Duration handshake_timeout = std::chrono::seconds(5);

  // Per source address on the enrolment listener (an IPv6 source is its /64).
  double connections_per_second = 20;
  double connection_burst = 100;
  double enrolments_per_second = 5;
  double enrolment_burst = 50;
  /// Of members that prove their key; their connections count for no source. What one opens beyond
  /// its own counts as a stranger's, and so does what comes when all places are taken.
  double member_requests_per_second = 50;
  double member_request_burst = 500;
  std::size_t member_connections = 8192;
  std::size_t connections_per_member = 8;
  // The listener for administration: of strangers, and (as members) of holders of a token.
  std::size_t admin_connections = 128;
  std::size_t admin_connections_per_source = 32;
  std::size_t holder_connections = 256;
  std::size_t connections_per_token = 64;
  double admin_connections_per_second = 20;  ///< per source
  double admin_connection_burst = 200;
  /// Requests with a secret that nobody has, per source: each is answered late, and more are not
  /// even looked at.
  double failures_per_second = 0.2;
  double failure_burst = 10;
  base::Duration failure_delay = std::chrono::seconds(1);
  double token_requests_per_second = 100;  ///< per token, wherever it is used
  double token_request_burst = 1000;

  std::size_t event_streams = 64;  ///< on the unix socket, and as many of holders of tokens
  std::size_t event_streams_of_one = 16;
  std::size_t events_at_once = 100;  ///< read for a stream before others have their turn
  /// An idle stream says that it is alive this often, and looks whether it may still be.
  base::Duration event_pause = std::chrono::seconds(15);

  std::size_t waiting_members = 4096;  ///< more are told to come back
  base::Duration longest_wait = std::chrono::seconds(120);
  std::size_t tracked_sources = 4096;

  /// How often it is looked whether the listeners' certificate needs to be made anew.
  base::Duration certificate_look = std::chrono::hours(1);
};

}  // namespace warren::server
