#include "proxy/http_request.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/bytes.hpp"

namespace warren::proxy::http {

namespace {

constexpr std::uint16_t kHttpPort = 80;
constexpr std::string_view kScheme = "http://";
constexpr std::string_view kBasic = "basic ";

struct Field {
  std::string_view name;
  std::string_view value;
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

/// Printable and not a blank: what a request target may hold.
bool is_visible(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool parse_fields(std::string_view lines, std::vector<Field>& out) {
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return false;
    const Field field{line.substr(0, colon), trim(line.substr(colon + 1))};
    const bool clean = std::ranges::none_of(
        field.value, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
    if (!clean) return false;
    out.push_back(field);
  }
  return true;
}

/// Whether "Connection: a, b" names this field, which then ends at this proxy.
bool is_named_by_connection(const std::vector<Field>& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (!same(field.name, "connection") && !same(field.name, "proxy-connection")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const std::size_t comma = rest.find(',');
      if (same(trim(rest.substr(0, comma)), name)) return true;
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
  }
  return false;
}

/// RFC 9110, section 7.6.1.
bool ends_here(const std::vector<Field>& fields, std::string_view name) {
  constexpr std::array<std::string_view, 8> kHopByHop = {
      "connection", "proxy-connection",   "keep-alive", "proxy-authorization",
      "te",         "proxy-authenticate", "upgrade",    "host"};
  return std::ranges::any_of(kHopByHop, [&](std::string_view one) { return same(one, name); }) ||
         (!same(name, "content-length") && !same(name, "transfer-encoding") &&
          is_named_by_connection(fields, name));
}

bool read_body(const std::vector<Field>& fields, Request& request) {
  bool length_seen = false;
  bool coding_seen = false;
  for (const Field& field : fields) {
    if (same(field.name, "content-length")) {
      const auto length = base::parse_number(field.value, 0, ~std::uint64_t{0} >> 1);
      if (!length || length_seen) return false;
      length_seen = true;
      request.body = length;
    } else if (same(field.name, "transfer-encoding")) {
      if (coding_seen || !same(field.value, "chunked")) return false;
      coding_seen = true;
      request.body = std::nullopt;
    }
  }
  return !(length_seen && coding_seen);
}

void read_credentials(const std::vector<Field>& fields, Request& request) {
  for (const Field& field : fields) {
    if (!same(field.name, "proxy-authorization")) continue;
    if (field.value.size() < kBasic.size() || !same(field.value.substr(0, kBasic.size()), kBasic)) {
      continue;
    }
    request.credentials = trim(field.value.substr(kBasic.size()));
    return;
  }
}

/// "http://host[:port][/path]": the target, and the path with its query.
bool read_absolute(std::string_view text, Request& request, std::string_view& host,
                   std::string& path) {
  if (text.size() < kScheme.size() || !same(text.substr(0, kScheme.size()), kScheme)) return false;
  text.remove_prefix(kScheme.size());
  const std::size_t end = text.find_first_of("/?#");
  host = text.substr(0, end);
  const std::string_view rest = end == std::string_view::npos ? "" : text.substr(end);
  path = std::string(rest.substr(0, rest.find('#')));
  if (!path.starts_with('/')) path.insert(0, "/");
  if (host.find('@') != std::string_view::npos) return false;
  const auto target = parse_authority(host, kHttpPort);
  if (target) request.target = *target;
  return target.has_value();
}

Parsed refuse(Failure failure) { return {.state = Parsed::State::Refused, .failure = failure}; }

Parsed parse_whole(std::string_view head) {
  Parsed out;
  const std::size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return refuse(Failure::Malformed);
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method) || !is_visible(target)) return refuse(Failure::Malformed);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return refuse(Failure::Malformed);
  std::vector<Field> fields;
  // Behind the last field are the two line ends that the caller has found.
  const std::string_view lines = head.substr(line_end + 2, head.size() - line_end - 4);
  if (!parse_fields(lines, fields)) return refuse(Failure::Malformed);
  Request& request = out.request;
  read_credentials(fields, request);
  out.state = Parsed::State::Whole;
  out.used = head.size();
  if (method == "CONNECT") {
    const auto authority = parse_authority(target, 0);
    if (!authority) return refuse(Failure::Malformed);
    request.connect = true;
    request.target = *authority;
    return out;
  }
  std::string_view host;
  std::string path;
  if (!read_absolute(target, request, host, path)) {
    return refuse(target.starts_with('/') || target.find("://") != std::string_view::npos
                      ? Failure::NotSupported
                      : Failure::Malformed);
  }
  if (!read_body(fields, request)) return refuse(Failure::Malformed);
  request.head.append(method).append(" ").append(path).append(" ").append(version);
  request.head.append("\r\nHost: ").append(host).append("\r\n");
  for (const Field& field : fields) {
    if (ends_here(fields, field.name)) continue;
    request.head.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  request.head += "Connection: close\r\n\r\n";
  return out;
}

std::string_view status_line(Failure failure) {
  switch (failure) {
    case Failure::Malformed:
      return "400 Bad Request";
    case Failure::BadPassword:
      return "407 Proxy Authentication Required";
    case Failure::NotSupported:
      return "501 Not Implemented";
    case Failure::OwnAddress:
    case Failure::NoDns:
      return "403 Forbidden";
    case Failure::NameTimeout:
    case Failure::TimedOut:
      return "504 Gateway Timeout";
    case Failure::TooMany:
      return "503 Service Unavailable";
    default:
      return "502 Bad Gateway";
  }
}

}  // namespace

Parsed parse_request(std::string_view text, std::size_t max_head) {
  const std::size_t end = text.substr(0, max_head).find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (text.size() >= max_head) return refuse(Failure::Malformed);
    // A request begins with a method: whatever else it is, it is not worth waiting for.
    const std::string_view method = text.substr(0, text.find(' '));
    if (!text.empty() && (method.size() > 32 || !is_token(method))) {
      return refuse(Failure::Malformed);
    }
    return {};
  }
  return parse_whole(text.substr(0, end + 4));
}

std::string write_failure(Failure failure) {
  std::string body = "warren proxy: ";
  body.append(to_string(failure)).append("\n");
  std::string out = "HTTP/1.1 ";
  out.append(status_line(failure)).append("\r\n");
  if (failure == Failure::BadPassword) out += "Proxy-Authenticate: Basic realm=\"warren\"\r\n";
  out += "Content-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + body;
  return out;
}

}  // namespace warren::proxy::http
