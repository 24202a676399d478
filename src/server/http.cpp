#include "server/http.hpp"

namespace warren::server {

unsigned refusal_status(const beast::error_code& error) {
  if (!error || error == http::error::end_of_stream || error == http::error::partial_message ||
      error == beast::error::timeout) {
    return 0;  // gone or too slow: nobody listens
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
  if (error == http::error::body_limit) return 413;
  // Everything else that the parser itself says is a malformed request; the transport's own errors
  // (reset, cancelled) belong to other categories.
  static const auto& parser_category = make_error_code(http::error::bad_method).category();
  return error.category() == parser_category ? 400 : 0;
}

Response unreadable(unsigned status) {
  switch (status) {
    case 431:
      return error_response(status, base::make_error(base::ErrorKind::Invalid,
                                                     "the header of the request is too large"));
    case 413:
      return error_response(status, base::make_error(base::ErrorKind::Invalid,
                                                     "the body of the request is too large"));
    default:
      return error_response(
          status, base::make_error(base::ErrorKind::Invalid, "this is not an HTTP/1.1 request"));
  }
}

Request to_request(http::request<http::string_body>&& message) {
  const auto field = [&message](http::field name) { return std::string(message[name]); };
  Request request{.method = std::string(message.method_string()),
                  .target = std::string(message.target()),
                  .content_type = field(http::field::content_type),
                  .authorization = field(http::field::authorization),
                  .last_event = std::string(message["Last-Event-ID"]),
                  .if_none_match = field(http::field::if_none_match)};
  request.body = std::move(message.body());
  return request;
}

http::response<http::string_body> to_message(const Response& response, unsigned version,
                                             bool keep_alive) {
  http::response<http::string_body> message(http::int_to_status(response.status), version);
  message.set(http::field::server, "warren/" WARREN_VERSION);
  const std::string_view type = response.media_type;
  message.set(http::field::content_type, beast::string_view(type.data(), type.size()));
  message.set(http::field::cache_control, "no-store");
  if (!response.allow.empty()) message.set(http::field::allow, response.allow);
  if (response.status == 429) message.set(http::field::retry_after, "1");
  if (response.status == 401) message.set(http::field::www_authenticate, "Bearer");
  if (!response.etag.empty()) message.set(http::field::etag, response.etag);
  message.keep_alive(keep_alive);
  message.body() = response.body;
  if (type == "application/json" && response.status != 304) message.body().push_back('\n');
  message.prepare_payload();
  return message;
}

}  // namespace warren::server
