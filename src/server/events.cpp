#include "server/events.hpp"

namespace warren::server {

base::Result<std::string> next_events(const EventStream& stream, std::uint64_t& after, bool& more) {
  WARREN_TRY_ASSIGN(
      const control::EventPage page,
      stream.control.events_after(after, stream.limits.events_at_once, stream.wish.network));
  std::string text;
  for (const api::Event& event : page.events) {
    text += "id: " + std::to_string(event.number) + "\nevent: " + event.kind +
            "\ndata: " + api::encode(event) + "\n\n";
  }
  after = page.through;
  more = page.more;
  return text;
}

std::string event_stream_head(std::uint64_t after) {
  return "HTTP/1.1 200 OK\r\nServer: warren/" WARREN_VERSION
         "\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
         "Connection: close\r\n\r\nretry: 2000\nid: " +
         std::to_string(after) + "\n\n";
}

std::string event_stream_refusal(unsigned version) {
  const Response refused = error_response(
      429, base::make_error(base::ErrorKind::Unavailable, "too many listen to events already",
                            "close one of them, or try again later"));
  const auto message = to_message(refused, version, false);
  std::string text;
  for (const auto& field : message.base()) {
    text += std::string(field.name_string()) + ": " + std::string(field.value()) + "\r\n";
  }
  return "HTTP/1.1 429 Too Many Requests\r\n" + text + "\r\n" + message.body();
}

}  // namespace warren::server
