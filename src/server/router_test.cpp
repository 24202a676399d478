#include "server/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json.hpp"

namespace warren::server {
namespace {

using ::testing::HasSubstr;

Router example() {
  Router router;
  const QueryParameter limit{"limit", "how many", 1, 100};
  router.add({"GET", "/v1/things", Reach::Filtered, Effect::Reads, "", {limit, {"word", ""}}}, {},
             {}, [](const Call& call) -> base::Result<Outcome> {
               const auto given = call.query.find("limit");
               return "list " + (given == call.query.end() ? std::string("all") : given->second);
             });
  router.add({"POST", "/v1/things", Reach::Gateway, Effect::Changes, ""}, "Thing", "Thing",
             [](const Call& call) -> base::Result<Outcome> {
               return "made " + std::string(call.body) + " by " + std::string(call.actor);
             });
  router.add({"GET", "/v1/things/{network}/parts/{part}", Reach::Network, Effect::Reads, ""}, {},
             {}, [](const Call& call) -> base::Result<Outcome> {
               return call.parameters.at(0) + "+" + call.parameters.at(1);
             });
  router.add({"DELETE", "/v1/things/{network}", Reach::Network, Effect::Changes, ""}, {}, {},
             [](const Call&) -> base::Result<Outcome> {
               return base::make_error(base::ErrorKind::Conflict, "in use", "wait");
             });
  router.add({"GET", "/v1/tokens", Reach::Host, Effect::Reads, ""}, {}, {},
             [](const Call&) -> base::Result<Outcome> { return std::string("tokens"); });
  router.add({"GET", "/v1/list.pem", Reach::Filtered, Effect::Reads, ""}, {}, "text/plain",
             [](const Call&) -> base::Result<Outcome> {
               return File{.media_type = "text/plain", .bytes = "pem", .etag = "\"7\""};
             });
  return router;
}

Response get(const std::string& target) {
  return example().handle({.method = "GET", .target = target});
}

TEST(Router, FindsHandlersByMethodAndPath) {
  EXPECT_EQ(get("/v1/things").body, "list all");
  EXPECT_EQ(get("/v1/things?limit=7").body, "list 7");
  EXPECT_EQ(get("/v1/things/a/parts/b").body, "a+b");
  EXPECT_EQ(example()
                .handle({.method = "POST", .target = "/v1/things", .body = "x", .actor = "ann"})
                .body,
            "made x by ann");
}

TEST(Router, DecodesEscapesOnceAndAfterSplitting) {
  EXPECT_EQ(get("/v1/things/a%2Fb/parts/%2541").body, "a/b+%41");
  EXPECT_EQ(get("/v1/things?limit=%31%30").body, "list 10");
}

TEST(Router, UnknownPathsAreNotFound) {
  for (const char* target : {"/", "/v1", "/v1/things/", "/v1/things//parts/b", "/v2/things",
                             "/v1/things/a", "/v1/things/a/parts/b/c", "//v1/things"}) {
    const Response response = get(target);
    EXPECT_TRUE(response.status == 404 || response.status == 405) << target << response.status;
  }
  EXPECT_EQ(get("/v2/things").status, 404U);
  EXPECT_EQ(get("/v1/things//parts/b").status, 404U);
}

TEST(Router, AWrongMethodNamesTheRightOnes) {
  const Response response =
      example().handle({.method = "PUT", .target = "/v1/things", .body = {}, .actor = {}});
  EXPECT_EQ(response.status, 405U);
  EXPECT_EQ(response.allow, "GET, POST");
  EXPECT_TRUE(api::decode_error(response.body));
}

TEST(Router, TargetsThatAreNoPathsAreRefused) {
  for (const char* target : {"", "*", "v1/things", "http://x/v1/things", "/v1/%", "/v1/%4",
                             "/v1/%zz", "/v1/%00", "/v1/things?a=1&a=2", "/v1/things?a=%x"}) {
    EXPECT_EQ(get(target).status, 400U) << target;
  }
}

TEST(Router, AHandlersErrorBecomesItsDocument) {
  const Response response =
      example().handle({.method = "DELETE", .target = "/v1/things/a", .body = {}, .actor = {}});
  EXPECT_EQ(response.status, 409U);
  const auto error = api::decode_error(response.body);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, base::ErrorKind::Conflict);
  EXPECT_EQ(error->message, "in use");
  EXPECT_EQ(error->hint, "wait");
}

TEST(Router, OneTableDecidesWhatATokenMayDo) {
  const Scope one{.is_local = false, .network = "a"};
  const Scope all{.is_local = false};
  const Scope look{.is_local = false, .network = "a", .read_only = true};
  const auto status = [](const Scope& scope, const char* method, const char* target) {
    return example().handle({.method = method, .target = target, .scope = scope}).status;
  };
  EXPECT_EQ(status(one, "GET", "/v1/things"), 200U);
  EXPECT_EQ(status(one, "GET", "/v1/things/a/parts/p"), 200U);
  EXPECT_EQ(status(one, "GET", "/v1/things/b/parts/p"), 404U) << "as if it were not there";
  EXPECT_EQ(status(one, "GET", "/v1/things/a%00/parts/p"), 400U);
  EXPECT_EQ(status(one, "GET", "/v1/things/A/parts/p"), 404U);
  EXPECT_EQ(status(one, "POST", "/v1/things"), 403U);
  EXPECT_EQ(status(one, "DELETE", "/v1/things/a"), 409U) << "it reached the handler";
  EXPECT_EQ(status(one, "DELETE", "/v1/things/b"), 404U);
  EXPECT_EQ(status(look, "DELETE", "/v1/things/a"), 403U);
  EXPECT_EQ(status(look, "GET", "/v1/things/a/parts/p"), 200U);
  EXPECT_EQ(status(all, "GET", "/v1/things/b/parts/p"), 200U);
  EXPECT_EQ(status(all, "POST", "/v1/things"), 200U);
  for (const Scope& remote : {one, all, look}) {
    EXPECT_EQ(status(remote, "GET", "/v1/tokens"), 403U);
  }
  EXPECT_EQ(status({}, "GET", "/v1/tokens"), 200U);
}

TEST(Router, QueriesAndBodiesAreWhatTheRouteTakes) {
  EXPECT_EQ(get("/v1/things?limit=0").status, 400U);
  EXPECT_EQ(get("/v1/things?limit=101").status, 400U);
  EXPECT_EQ(get("/v1/things?limit=x").status, 400U);
  EXPECT_EQ(get("/v1/things?word=anything&limit=7").status, 200U);
  EXPECT_EQ(get("/v1/things?wort=a").status, 400U);
  const auto post = [](const char* method, const char* type) {
    return example()
        .handle({.method = method, .target = "/v1/things", .body = "{}", .content_type = type})
        .status;
  };
  EXPECT_EQ(post("POST", "application/json"), 200U);
  EXPECT_EQ(post("POST", "Application/JSON; charset=utf-8"), 200U);
  EXPECT_EQ(post("POST", "application/x-www-form-urlencoded"), 415U);
  EXPECT_EQ(post("GET", "application/json"), 400U) << "it takes no document";
}

TEST(Router, AFileThatTheAskerHasIsNotSentAgain) {
  EXPECT_EQ(get("/v1/list.pem").body, "pem");
  EXPECT_EQ(get("/v1/list.pem").etag, "\"7\"");
  const Response known = example().handle(
      {.method = "GET", .target = "/v1/list.pem", .if_none_match = "\"6\", \"7\""});
  EXPECT_EQ(known.status, 304U);
  EXPECT_TRUE(known.body.empty());
}

}  // namespace
}  // namespace warren::server
