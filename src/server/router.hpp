// The route table: method and path pattern to handler. Pure: no socket, no HTTP library.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "pki/member_proof.hpp"

namespace warren::server {

struct Request {
  std::string method;  ///< "GET"
  std::string target;  ///< path and query as on the wire: "/v1/audit?limit=10"
  std::string body;
  std::string actor;       ///< who asks, for the audit: "uid 0 (root)"
  pki::Binding binding{};  ///< of the TLS connection; zero on the unix socket
};

struct Response {
  unsigned status = 200;
  std::string body;   ///< a JSON document
  std::string allow;  ///< the Allow header of a 405, otherwise empty
};

/// What a handler gets: the parts of the path that stood for "*", the query, body and actor.
struct Call {
  std::vector<std::string> parameters;
  std::map<std::string, std::string> query;
  std::string_view body;
  std::string_view actor;
  pki::Binding binding{};
};
/// Gives the JSON document of the answer.
using Handler = std::function<base::Result<std::string>(const Call&)>;

/// An error document with this status, or with the one of the error's kind.
[[nodiscard]] Response error_response(unsigned status, const base::Error& error);
[[nodiscard]] Response error_response(const base::Error& error);

/// Decodes %XX; false for a broken escape or an encoded NUL.
[[nodiscard]] bool percent_decode(std::string_view text, std::string& out);

class Router {
 public:
  /// `pattern` is a path whose "*" segments match any one non-empty segment: "/v1/networks/*".
  void add(std::string method, std::string_view pattern, Handler handler);
  /// 404 where no pattern matches, 405 (with Allow) where only the method is wrong, 400 for a
  /// target that is not a path. Never throws.
  [[nodiscard]] Response handle(const Request& request) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace warren::server
