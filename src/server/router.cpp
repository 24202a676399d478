#include "server/router.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "api/json.hpp"

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
    return want == "*" ? !have.empty() : want == have;
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
  return {.status = status, .body = api::encode_error(error), .allow = {}};
}

Response error_response(const base::Error& error) {
  return error_response(static_cast<unsigned>(api::http_status(error.kind)), error);
}

void Router::add(std::string method, std::string_view pattern, Handler handler) {
  routes_.push_back({.method = std::move(method),
                     .segments = split_path(pattern),
                     .handler = std::move(handler)});
}

Response Router::handle(const Request& request) const {
  const auto target = parse_target(request.target);
  if (!target) {
    return error_response(
        base::make_error(base::ErrorKind::Invalid, "the request target is not a path"));
  }
  std::string allow;
  for (const Route& route : routes_) {
    if (!matches(route.segments, target->segments)) continue;
    if (route.method != request.method) {
      allow += (allow.empty() ? "" : ", ") + route.method;
      continue;
    }
    Call call{.parameters = {},
              .query = target->query,
              .body = request.body,
              .actor = request.actor,
              .binding = request.binding};
    for (std::size_t i = 0; i < route.segments.size(); ++i) {
      if (route.segments[i] == "*") call.parameters.push_back(target->segments[i]);
    }
    base::Result<std::string> answer = route.handler(call);
    if (!answer) return error_response(answer.error());
    return {.status = 200, .body = std::move(*answer), .allow = {}};
  }
  if (!allow.empty()) {
    Response refused = error_response(
        405, base::make_error(base::ErrorKind::Invalid, "this path does not accept this method",
                              "it accepts " + allow));
    refused.allow = allow;
    return refused;
  }
  return error_response(base::make_error(base::ErrorKind::NotFound, "there is no such path",
                                         "the paths of the API start with /v1"));
}

}  // namespace warren::server
