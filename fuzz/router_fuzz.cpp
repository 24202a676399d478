// What a request's method, target and body select: a token for one network reaches handlers of that
// network and no other, however the path is written. Input: method, target and body, one a line.
#include <string>
#include <string_view>

#include "api/json.hpp"
#include "base/assert.hpp"
#include "server/router.hpp"

namespace {

namespace server = warren::server;

constexpr std::string_view kOwn = "own";

server::Router make_router() {
  using server::Effect;
  using server::Reach;
  server::Router router;
  const auto answer = [](const server::Call& call) -> warren::base::Result<server::Outcome> {
    if (call.scope.network) WARREN_ASSERT(call.parameters.at(0) == kOwn);
    WARREN_ASSERT(!call.scope.read_only);
    for (const std::string& parameter : call.parameters) {
      WARREN_ASSERT(!parameter.empty() && parameter.find('\0') == std::string::npos);
    }
    return server::Outcome(std::string("{}"));
  };
  const auto nobody = [](const server::Call& call) -> warren::base::Result<server::Outcome> {
    WARREN_ASSERT(!call.scope.network);
    return server::Outcome(std::string("{}"));
  };
  router.add({"GET",
              "/v1/networks/{network}/peers/{peer}",
              Reach::Network,
              Effect::Changes,
              "",
              {{"limit", "", 1, 100}, {"word", ""}}},
             {}, {}, answer);
  router.add({"POST", "/v1/networks/{network}", Reach::Network, Effect::Changes, ""}, "Document",
             {}, answer);
  router.add({"DELETE", "/v1/networks/{network}", Reach::Gateway, Effect::Changes, ""}, {}, {},
             nobody);
  return router;
}

std::string next_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string line(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const server::Router router = make_router();
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  server::Request request{.method = next_line(rest), .target = next_line(rest)};
  request.body = rest;
  for (const bool scoped : {false, true}) {
    for (const bool read_only : {false, true}) {
      request.scope = {.is_local = false, .network = {}, .read_only = read_only};
      if (scoped) request.scope.network = kOwn;
      const server::Response response = router.handle(request);
      const bool fine = response.status == 200;
      WARREN_ASSERT(fine || warren::api::decode_error(response.body).has_value());
    }
  }
  return 0;
}
