#include "server/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json.hpp"

namespace warren::server {
namespace {

using ::testing::HasSubstr;

Router example() {
  Router router;
  router.add("GET", "/v1/things", [](const Call& call) -> base::Result<std::string> {
    const auto limit = call.query.find("limit");
    return "list " + (limit == call.query.end() ? std::string("all") : limit->second);
  });
  router.add("POST", "/v1/things", [](const Call& call) -> base::Result<std::string> {
    return "made " + std::string(call.body) + " by " + std::string(call.actor);
  });
  router.add("GET", "/v1/things/*/parts/*", [](const Call& call) -> base::Result<std::string> {
    return call.parameters.at(0) + "+" + call.parameters.at(1);
  });
  router.add("DELETE", "/v1/things/*", [](const Call&) -> base::Result<std::string> {
    return base::make_error(base::ErrorKind::Conflict, "in use", "wait");
  });
  return router;
}

Response get(const std::string& target) {
  return example().handle({.method = "GET", .target = target, .body = {}, .actor = {}});
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

}  // namespace
}  // namespace warren::server
