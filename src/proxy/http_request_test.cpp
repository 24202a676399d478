#include "proxy/http_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::proxy::http {
namespace {

constexpr std::size_t kMost = 4096;
using State = Parsed::State;

Parsed parse(std::string_view text) { return parse_request(text, kMost); }

TEST(HttpRequest, ConnectIsATunnel) {
  const std::string text =
      "CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: bAsIc  YTpi \r\n\r\n";
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_EQ(parse(text.substr(0, size)).state, State::Partial) << size;
  }
  const Parsed parsed = parse(text + "more");
  ASSERT_EQ(parsed.state, State::Whole);
  EXPECT_EQ(parsed.used, text.size());
  EXPECT_TRUE(parsed.request.connect);
  EXPECT_EQ(parsed.request.credentials, "YTpi");
  EXPECT_EQ(parsed.request.target.address, base::IpAddress::parse("fd00::1"));
  EXPECT_EQ(parsed.request.target.port, 443);
}

TEST(HttpRequest, AbsoluteFormBecomesOriginForm) {
  const Parsed parsed = parse(
      "POST HTTP://Host.Lab:81/a/b?c=d#e HTTP/1.1\r\nhost: lies\r\nProxy-Authorization: Basic "
      "eA==\r\n"
      "Connection: X-Mine, close\r\nX-Mine: 1\r\nX-Other:  2 \r\nProxy-Connection: keep-alive\r\n"
      "Content-Length: 7\r\n\r\n");
  ASSERT_EQ(parsed.state, State::Whole);
  EXPECT_FALSE(parsed.request.connect);
  EXPECT_EQ(parsed.request.target, (Target{"Host.Lab", std::nullopt, 81}));
  EXPECT_EQ(parsed.request.head,
            "POST /a/b?c=d HTTP/1.1\r\nHost: Host.Lab:81\r\nX-Other: 2\r\nContent-Length: 7\r\n"
            "Connection: close\r\n\r\n");
  EXPECT_EQ(parsed.request.body, 7U);
}

TEST(HttpRequest, PathsMayBeMissing) {
  EXPECT_THAT(parse("GET http://a HTTP/1.0\r\n\r\n").request.head,
              testing::StartsWith("GET / HTTP/1.0\r\nHost: a\r\n"));
  EXPECT_THAT(parse("GET http://a?q HTTP/1.1\r\n\r\n").request.head,
              testing::StartsWith("GET /?q HTTP/1.1\r\n"));
}

TEST(HttpRequest, BodiesHaveOneLength) {
  const auto with = [](const std::string& fields) {
    return parse("PUT http://a/ HTTP/1.1\r\n" + fields + "\r\n");
  };
  EXPECT_EQ(with("").request.body, 0U);
  EXPECT_EQ(with("Transfer-Encoding: Chunked\r\n").request.body, std::nullopt);
  for (const char* bad : {"Content-Length: 1\r\nContent-Length: 1\r\n",
                          "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                          "Transfer-Encoding: gzip, chunked\r\n", "Content-Length: +1\r\n",
                          "Content-Length: \r\n", "Content-Length: 99999999999999999999\r\n"}) {
    EXPECT_EQ(with(bad).state, State::Refused) << bad;
  }
}

TEST(HttpRequest, WhatIsNotOfferedIsRefused) {
  EXPECT_EQ(parse("GET /own HTTP/1.1\r\n\r\n").failure, Failure::NotSupported);
  EXPECT_EQ(parse("GET https://a/ HTTP/1.1\r\n\r\n").failure, Failure::NotSupported);
  EXPECT_EQ(parse("GET ftp://a/ HTTP/1.1\r\n\r\n").failure, Failure::NotSupported);
}

TEST(HttpRequest, MalformedHeadsAreRefused) {
  for (const char* bad :
       {"GET  http://a/ HTTP/1.1\r\n\r\n", "GET http://a/ HTTP/2\r\n\r\n",
        "G(T http://a/ HTTP/1.1\r\n\r\n", "GET http://a/ HTTP/1.1\r\n folded: 1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nno colon\r\n\r\n", "GET http://a/ HTTP/1.1\r\nA : 1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nA: 1\n2\r\n\r\n", "CONNECT a HTTP/1.1\r\n\r\n",
        "GET http://u:p@a/ HTTP/1.1\r\n\r\n", "\r\n\r\n", " \r\n\r\n",
        "GET http://a:0/ HTTP/1.1\r\n\r\n", "\x16\x03\x01", "{"}) {
    EXPECT_EQ(parse(bad).state, State::Refused) << bad;
  }
  EXPECT_EQ(parse("GET http://a/" + std::string(kMost, 'x')).state, State::Refused);
}

TEST(HttpRequest, FailuresAreWholeAnswers) {
  const std::string answer = write_failure(Failure::BadPassword);
  EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 407 "));
  EXPECT_THAT(answer, testing::HasSubstr("\r\nProxy-Authenticate: Basic realm="));
  EXPECT_THAT(answer, testing::HasSubstr("\r\nConnection: close\r\n\r\nwarren proxy: "));
}

}  // namespace
}  // namespace warren::proxy::http
