#include "server/router.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "api/json.hpp"
#include "base/assert.hpp"
#include "base/bytes.hpp"

namespace warren::server {
namespace {

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = std::min(path.find('/'), path.size());
    segments.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

/// A target taken apart; nullopt when it is not an absolute path with an optional query.
struct Target {
  std::vector<std::string> segments;
  std::map<std::string, std::string> query;
};
std::optional<Target> parse_target(std::string_view text) {
  if (!text.starts_with('/')) return std::nullopt;
  Target target;
  const std::size_t mark = std::min(text.find('?'), text.size());
  for (const std::string& raw : split_path(text.substr(0, mark))) {
    std::string segment;
    if (!percent_decode(raw, segment)) return std::nullopt;
    target.segments.push_back(std::move(segment));
  }
  std::string_view query = text.substr(std::min(mark + 1, text.size()));
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    std::string key;
    std::string value;
    if (!percent_decode(pair.substr(0, equals), key) ||
        !percent_decode(pair.substr(std::min(equals + 1, pair.size())), value)) {
      return std::nullopt;
    }
    if (!target.query.emplace(std::move(key), std::move(value)).second) return std::nullopt;
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return target;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& segments) {
  return std::ranges::equal(pattern, segments, [](const auto& want, const auto& have) {
    return want.starts_with('{') ? !have.empty() : want == have;
  });
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool percent_decode(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0 || high + low == 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

Response error_response(unsigned status, const base::Error& error) {
  return {.status = status, .body = api::encode_error(error)};
}

Response error_response(const base::Error& error) {
  return error_response(static_cast<unsigned>(api::http_status(error.kind)), error);
}

void Router::add(const RouteFacts& facts, std::string request, std::string answer,
                 Handler handler) {
  std::vector<std::string> segments = split_path(facts.path);
  WARREN_ASSERT(facts.reach != Reach::Network ||
                std::ranges::find(segments, "{network}") != segments.end());
  routes_.push_back({.facts = facts,
                     .request = std::move(request),
                     .answer = std::move(answer),
                     .segments = std::move(segments),
                     .handler = std::move(handler)});
}

namespace {

base::Error not_for(const Scope& scope) {
  return base::make_error(base::ErrorKind::NotPermitted,
                          scope.network ? "this token is good for network " + *scope.network +
                                              " alone, and this concerns the whole gateway"
                                        : "this can be done on the gateway itself only",
                          "ask whoever runs the gateway");
}

/// Why the asker may not use a route; nullopt: it may.
std::optional<base::Error> scope_refusal(const Router::Route& route, const Call& call) {
  const Scope& scope = call.scope;
  if (scope.is_local) return std::nullopt;
  if (route.facts.effect == Effect::Changes && scope.read_only) {
    return base::make_error(base::ErrorKind::NotPermitted, "this token may look, not change",
                            "ask whoever runs the gateway for one that is not read-only");
  }
  if (route.facts.reach == Reach::Host) return not_for({});
  if (!scope.network) return std::nullopt;
  if (route.facts.reach == Reach::Gateway) return not_for(scope);
  if (route.facts.reach != Reach::Network) return std::nullopt;
  std::size_t at = 0;
  for (const std::string& segment : route.segments) {
    if (!segment.starts_with('{')) continue;
    if (segment == "{network}" && scope.sees(call.parameters[at])) return std::nullopt;
    ++at;
  }
  return base::make_error(base::ErrorKind::NotFound, "there is no such network",
                          "this token is good for network " + *scope.network);
}

/// What is wrong with a query.
std::optional<base::Error> query_refusal(const Router::Route& route, const Call& call) {
  for (const auto& [key, value] : call.query) {
    const auto known = std::ranges::find(route.facts.query, key, &QueryParameter::name);
    const std::string shown = key.substr(0, 100) + "=" + value.substr(0, 100);
    if (known == route.facts.query.end()) {
      return base::make_error(base::ErrorKind::Invalid, shown + " is not known here");
    }
    if (known->most == 0 || base::parse_number(value, known->least, known->most)) continue;
    return base::make_error(base::ErrorKind::Invalid, shown + " is not valid",
                            "give a number from " + std::to_string(known->least) + " to " +
                                std::to_string(known->most));
  }
  return std::nullopt;
}

/// A media type without its parameters, in lower case.
std::string media_type(std::string_view text) {
  std::string type(text.substr(0, text.find_first_of("; \t")));
  std::ranges::transform(type, type.begin(), [](char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  });
  return type;
}

std::optional<Response> body_refusal(const Router::Route& route, const Request& request) {
  if (request.body.empty()) return std::nullopt;
  if (route.request.empty()) {
    return error_response(
        base::make_error(base::ErrorKind::Invalid, "this request takes no document"));
  }
  if (request.content_type.empty() || media_type(request.content_type) == "application/json") {
    return std::nullopt;
  }
  return error_response(
      415, base::make_error(base::ErrorKind::Invalid, "the document is not said to be JSON",
                            "send Content-Type: application/json"));
}

Response method_refusal(const std::string& allow) {
  Response refused = error_response(
      405, base::make_error(base::ErrorKind::Invalid, "this path does not accept this method",
                            "it accepts " + allow));
  refused.allow = allow;
  return refused;
}

Response answer_of(const Router::Route& route, const Request& request, Target target) {
  Call call{.parameters = {},
            .query = std::move(target.query),
            .body = request.body,
            .actor = request.actor,
            .binding = request.binding,
            .scope = request.scope,
            .last_event = request.last_event};
  for (std::size_t i = 0; i < route.segments.size(); ++i) {
    if (route.segments[i].starts_with('{')) call.parameters.push_back(target.segments[i]);
  }
  if (auto refused = scope_refusal(route, call)) return error_response(*refused);
  if (auto refused = query_refusal(route, call)) return error_response(*refused);
  if (auto refused = body_refusal(route, request)) return std::move(*refused);
  base::Result<Outcome> outcome = route.handler(call);
  if (!outcome) return error_response(outcome.error());
  if (auto* document = std::get_if<std::string>(&*outcome)) return {.body = std::move(*document)};
  if (auto* events = std::get_if<EventWish>(&*outcome)) return {.events = std::move(*events)};
  File& file = std::get<File>(*outcome);
  const bool had = !file.etag.empty() && request.if_none_match.contains(file.etag);
  return {.status = had ? 304U : 200U,
          .body = had ? std::string() : std::move(file.bytes),
          .media_type = file.media_type,
          .etag = std::move(file.etag)};
}

}  // namespace

Response Router::handle(const Request& request) const {
  auto target = parse_target(request.target);
  if (!target) {
    return error_response(
        base::make_error(base::ErrorKind::Invalid, "the request target is not a path"));
  }
  std::string allow;
  for (const Route& route : routes_) {
    if (!matches(route.segments, target->segments)) continue;
    if (route.facts.method == request.method) return answer_of(route, request, std::move(*target));
    allow += (allow.empty() ? "" : ", ") + std::string(route.facts.method);
  }
  if (!allow.empty()) return method_refusal(allow);
  return error_response(base::make_error(base::ErrorKind::NotFound, "there is no such path",
                                         "GET /v1/openapi.json lists them"));
}

}  // namespace warren::server
