// The routes: method and path to handler, with what each concerns and who may ask. Pure: no socket,
// no HTTP library.
//
// A route cannot be added without saying how far it reaches and whether it changes anything; who
// may use it follows from the two, here and nowhere else:
//
//                          the unix socket   a token for all   a token for one network
//   Network, Reads|Changes      yes               yes          of its network; another one's path
//                                                              is as if it were not there
//   Filtered                    yes               yes          yes: the handler keeps the rest back
//   Gateway                     yes               yes          no
//   Host                        yes               no           no
//   and whatever Changes needs a token that is not read-only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "pki/member_proof.hpp"

namespace warren::server {

enum class Reach : std::uint8_t {
  Network,   ///< the network that {network} names, and no other
  Filtered,  ///< what the asker may see of the gateway; the handler looks at Call::scope
  Gateway,   ///< the gateway as a whole, or several networks
  Host,      ///< for those on the gateway itself: administrators' tokens
};
enum class Effect : std::uint8_t { Reads, Changes };

/// A value of the query: a number within bounds, or (most = 0) any text.
struct QueryParameter {
  std::string_view name;
  std::string_view summary;
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

/// A route as it is declared.
struct RouteFacts {
  std::string_view method;
  std::string_view path;  ///< "/v1/networks/{network}"
  Reach reach;
  Effect effect;
  std::string_view summary;
  std::vector<QueryParameter> query = {};
};

/// What the asker may do.
struct Scope {
  bool is_local = true;                     ///< root, or the group: everything
  std::optional<std::string> network = {};  ///< the only one that a token is good for
  bool read_only = false;
  [[nodiscard]] bool sees(std::string_view name) const { return !network || *network == name; }
};

struct Request {
  std::string method = {};  ///< "GET"
  std::string target = {};  ///< path and query as on the wire: "/v1/audit?limit=10"
  std::string body = {};
  std::string actor = {};         ///< who asks, for the audit: "uid 0 (root)"
  pki::Binding binding = {};      ///< of the TLS connection; zero on the unix socket
  std::string content_type = {};  ///< of the body; empty: not said
  std::string authorization = {};
  std::string last_event = {};     ///< Last-Event-ID
  std::string if_none_match = {};  ///< ETags that the asker has
  Scope scope = {};
};

/// Events that the answer consists of, for as long as the asker listens.
struct EventWish {
  std::string network;                 ///< empty: all
  std::optional<std::uint64_t> after;  ///< absent: those to come
};

/// What is no JSON document of ours, as it goes out.
struct File {
  std::string_view media_type;  ///< "application/pkix-crl"
  std::string bytes;
  std::string etag = {};  ///< with its quotes; empty: none
};

struct Response {
  unsigned status = 200;
  std::string body = {};   ///< a JSON document, or the bytes of a file
  std::string allow = {};  ///< the Allow header of a 405, otherwise empty
  std::string_view media_type = "application/json";
  std::string etag = {};
  std::optional<EventWish> events = {};  ///< instead of a body
};

/// What a handler gets: the parts of the path that stood in braces, the query, body and actor.
struct Call {
  std::vector<std::string> parameters;
  std::map<std::string, std::string> query;
  std::string_view body;
  std::string_view actor;
  pki::Binding binding{};
  Scope scope = {};
  std::string_view last_event = {};
};
/// What a handler gives: the JSON document of the answer, a file, or events.
using Outcome = std::variant<std::string, File, EventWish>;
using Handler = std::function<base::Result<Outcome>(const Call&)>;

/// An error document with this status, or with the one of the error's kind.
[[nodiscard]] Response error_response(unsigned status, const base::Error& error);
[[nodiscard]] Response error_response(const base::Error& error);

/// Decodes %XX; false for a broken escape or an encoded NUL.
[[nodiscard]] bool percent_decode(std::string_view text, std::string& out);

class Router {
 public:
  struct Route {
    RouteFacts facts;
    std::string request;  ///< the name of the document that it takes; empty: none
    std::string answer;   ///< of the one that it gives, or a media type
    std::vector<std::string> segments;
    Handler handler;
  };

  /// A path's segments in braces match any one non-empty segment. A body is refused where no
  /// document is taken; a path of Reach::Network has a {network}.
  void add(const RouteFacts& facts, std::string request, std::string answer, Handler handler);
  /// 404 where no path matches or it is not the asker's to see, 405 (with Allow) where only the
  /// method is wrong, 400 for a target that is not a path, 403 for what the asker may not do, 415
  /// for a body that is not JSON, 304 for a file that the asker has. Never throws.
  [[nodiscard]] Response handle(const Request& request) const;
  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace warren::server
