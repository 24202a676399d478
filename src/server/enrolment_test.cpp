#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "api/json.hpp"
#include "client/http.hpp"
#include "client/join.hpp"
#include "server/server_fixture.hpp"

namespace warren::server {
namespace {

using client::HttpRequest;
using ::testing::HasSubstr;
using testing::read_to_end;
using testing::TestServer;

client::PinnedGateway pinned(const TestServer& server) {
  return {.at = {.host = "127.0.0.1", .port = server.server->enrol_port()},
          .pin = server.identity.pin};
}

os::Fd tcp_to(const TestServer& server) {
  os::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(server.server->enrol_port());
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return {};
  return socket;
}

HttpRequest enrol_request(TestServer& server, const model::TokenText& token,
                          const base::PublicKey& key) {
  return {.method = "POST",
          .target = "/v1/enrol",
          .body = api::encode(server.gateway.enrol_request(token.write(), key))};
}

TEST(Enrolment, OneRouteAndNoOther) {
  TestServer server;
  server.create_network("lab");
  const model::TokenText token = server.token("lab", "laptop");
  bool sent = false;
  const auto answer = client::exchange_pinned(
      pinned(server), enrol_request(server, token, server.gateway.new_key()), sent);
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->status, 200U) << answer->body;
  EXPECT_EQ(api::decode<api::EnrolAnswer>(answer->body)->name, "laptop");
  for (const char* target : {"/v1/status", "/v1/networks", "/v1/audit", "/", "/v1/networks/lab"}) {
    const auto other = client::exchange_pinned(
        pinned(server), {.method = "GET", .target = target, .body = {}}, sent);
    ASSERT_TRUE(other) << other.error().message;
    EXPECT_EQ(other->status, 404U) << target;
  }
}

TEST(Enrolment, AnotherKeyThanThePinnedIsRefusedBeforeTheSecretIsSent) {
  TestServer server;
  client::PinnedGateway wrong = pinned(server);
  wrong.pin[31] ^= 1;
  bool sent = true;
  const auto answer =
      client::exchange_pinned(wrong, {.method = "POST", .target = "/v1/enrol", .body = "x"}, sent);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, base::ErrorKind::NotPermitted);
  EXPECT_FALSE(sent);
}

TEST(Enrolment, OldTlsIsRefused) {
  TestServer server;
  const std::string command =
      "openssl s_client -tls1_2 -connect 127.0.0.1:" + std::to_string(server.server->enrol_port()) +
      " </dev/null 2>&1; echo";
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 4096> piece;
  while (const std::size_t size = std::fread(piece.data(), 1, piece.size(), pipe)) {
    output.append(piece.data(), size);
  }
  ::pclose(pipe);
  EXPECT_THAT(output, HasSubstr("alert"));
  EXPECT_THAT(output, ::testing::Not(HasSubstr("BEGIN CERTIFICATE")));
}

TEST(Enrolment, PlainHttpAndSilenceAreCutOff) {
  Limits limits;
  limits.handshake_timeout = std::chrono::milliseconds(300);
  TestServer server(limits);
  const os::Fd plain = tcp_to(server);
  ASSERT_TRUE(plain);
  testing::send_all(plain.get(), "POST /v1/enrol HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(read_to_end(plain.get()), ::testing::Not(HasSubstr("HTTP/1.1")));
  const os::Fd silent = tcp_to(server);
  ASSERT_TRUE(silent);
  EXPECT_EQ(read_to_end(silent.get()), "");
}

TEST(Enrolment, TooManyRequestsFromOneAddressAreRefusedPolitely) {
  Limits limits;
  limits.enrolment_burst = 3;
  limits.enrolments_per_second = 0.001;
  TestServer server(limits);
  const HttpRequest guess{.method = "POST", .target = "/v1/enrol", .body = "{}"};
  bool sent = false;
  for (int i = 0; i < 3; ++i) {
    const auto answer = client::exchange_pinned(pinned(server), guess, sent);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 400U);
  }
  const auto answer = client::exchange_pinned(pinned(server), guess, sent);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 429U);
  EXPECT_THAT(answer->body, HasSubstr("try again"));
  EXPECT_EQ(answer->retry_after_s, 1U);
}

TEST(Enrolment, ThoseWhoAreAdmittedAreNotHeldBack) {
  Limits limits;
  limits.enrolment_burst = 2;
  limits.enrolments_per_second = 0.001;
  TestServer server(limits);
  server.create_network("lab");
  control::testing::SeededRandom random{5};
  for (int i = 0; i < 6; ++i) {
    const auto token = server.token("lab", "job" + std::to_string(i));
    const auto member = client::join_for_run(token, random, os::wall_now());
    ASSERT_TRUE(member) << i << ": " << member.error().message;
  }
}

TEST(Enrolment, ARunAsksABusyGatewayAgain) {
  Limits limits;
  limits.enrolment_burst = 2;
  limits.enrolments_per_second = 1;
  TestServer server(limits);
  server.create_network("lab");
  const model::TokenText token = server.token("lab", "job");
  const HttpRequest guess{.method = "POST", .target = "/v1/enrol", .body = "{}"};
  unsigned status = 0;
  bool sent = false;
  for (int i = 0; i < 20 && status != 429; ++i) {
    const auto answer = client::exchange_pinned(pinned(server), guess, sent);
    ASSERT_TRUE(answer) << answer.error().message;
    status = answer->status;
  }
  ASSERT_EQ(status, 429U);
  control::testing::SeededRandom random{5};
  const base::Instant began = os::now();
  const auto member = client::join_for_run(token, random, os::wall_now());
  ASSERT_TRUE(member) << member.error().message;
  EXPECT_GE(os::now() - began, std::chrono::seconds(1)) << "it asked for a second";
}

TEST(Enrolment, ARunAsksAgainWhereItsConnectionWasClosed) {
  Limits limits;
  limits.enrol_connections_per_source = 1;
  limits.handshake_timeout = std::chrono::seconds(1);
  TestServer server(limits);
  server.create_network("lab");
  const model::TokenText token = server.token("lab", "job");
  // Somebody holds the only connection until the server is tired of waiting for a word.
  const os::Fd silent = tcp_to(server);
  ASSERT_TRUE(silent);
  control::testing::SeededRandom random{5};
  bool busy = false;
  const auto member = client::join_for_run(token, random, os::wall_now(), [&] { busy = true; });
  ASSERT_TRUE(member) << member.error().message;
  EXPECT_FALSE(busy) << "a second is not worth a word";
}

TEST(Enrolment, AGatewayThatIsNotThereIsNotWaitedFor) {
  TestServer server;
  server.create_network("lab");
  model::TokenText token = server.token("lab", "job");
  token.enrol_at = "127.0.0.1:1";
  control::testing::SeededRandom random{5};
  const base::Instant began = os::now();
  const auto member = client::join_for_run(token, random, os::wall_now());
  ASSERT_FALSE(member);
  EXPECT_EQ(member.error().kind, base::ErrorKind::Unavailable);
  EXPECT_LT(os::now() - began, std::chrono::seconds(5));
}

TEST(Enrolment, TooManyConnectionsFromOneAddressAreClosed) {
  Limits limits;
  limits.enrol_connections_per_source = 2;
  TestServer server(limits);
  const os::Fd first = tcp_to(server);
  const os::Fd second = tcp_to(server);
  const os::Fd third = tcp_to(server);
  ASSERT_TRUE(first && second && third);
  EXPECT_EQ(read_to_end(third.get(), 3000), "");
  pollfd ready{.fd = first.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&ready, 1, 0), 0) << "those within the limit stay";
}

// A year, ten days at a time: whoever connects is shown a certificate that is good, and the pin is
// the same.
TEST(Enrolment, TheCertificateIsRenewedAndThePinStays) {
  Limits limits;
  limits.certificate_look = std::chrono::milliseconds(5);
  TestServer server(limits);
  bool sent = false;
  for (int day = 0; day <= 370; day += 10) {
    server.days_later = day;
    const auto days_left = [&] {
      std::int64_t left = 0;
      server.on_io([&] {
        left = server.gateway.control->examine_certificates().findings.front().days_left -
               (server.wall_clock().seconds() - server.gateway.clock.time.seconds()) / 86'400;
      });
      return left;
    };
    const base::Instant began = os::now();
    while (days_left() < 29 && os::now() - began < std::chrono::seconds(10)) continue;
    ASSERT_GE(days_left(), 29) << "day " << day;
    const auto answer =
        client::exchange_pinned(pinned(server), {.method = "GET", .target = "/", .body = {}}, sent);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 404U);
  }
  EXPECT_GE(server.certificates, 6);
  EXPECT_LE(server.certificates, 8);
}

TEST(Enrolment, ListsAreServedToEverybody) {
  TestServer server;
  server.create_network("lab");
  const auto shown = server.gateway.control->show_authorities("lab");
  ASSERT_TRUE(shown);
  const std::string fingerprint = shown->authorities.at(0).chain.at(0).fingerprint;
  const auto get = [&](const std::string& target) {
    bool sent = false;
    const auto answer = client::exchange_pinned(
        pinned(server), {.method = "GET", .target = target, .body = {}}, sent);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? std::pair(answer->status, answer->body) : std::pair(0U, std::string());
  };
  for (const char* form : {"pem", "der"}) {
    const auto [status, body] = get("/v1/authorities/" + fingerprint + "/crl." + form);
    EXPECT_EQ(status, 200U) << body;
    EXPECT_EQ(body.starts_with("-----BEGIN X509 CRL-----"), form[0] == 'p');
  }
  // By a name that could be guessed nobody learns anything.
  const auto nothing = get("/v1/authorities/" + std::string(64, '0') + "/crl.pem");
  EXPECT_EQ(nothing.first, 404U);
  EXPECT_EQ(get("/v1/authorities/lab/crl.pem"), nothing);
  EXPECT_EQ(get("/v1/networks/lab/crl.pem"), get("/v1/networks/nosuch/crl.pem"));
  EXPECT_EQ(get("/v1/networks/lab/crl.pem").first, 404U);
}

TEST(Enrolment, ATakenPortIsNamedAndLeavesNoSocketFile) {
  TestServer server;
  control::testing::Gateway other;
  boost::asio::io_context io(1);
  Options options;
  options.socket_path = server.scratch.path() + "/second.sock";
  options.enrol_listen = "127.0.0.1:" + std::to_string(server.server->enrol_port());
  options.identity_key_pem = server.identity.private_key_pem;
  options.make_certificate = [&] {
    return pki::self_signed_certificate(server.identity, os::wall_now(), 90);
  };
  const auto second = Server::create(io, *other.control, other.log, options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, base::ErrorKind::Conflict);
  EXPECT_THAT(second.error().message,
              HasSubstr("port " + std::to_string(server.server->enrol_port())));
  EXPECT_NE(::access(options.socket_path.c_str(), F_OK), 0);
}

TEST(Enrolment, OneListenerServesBothFamilies) {
  TestServer keys;
  boost::asio::io_context io(1);
  Options options;
  options.socket_path = keys.scratch.path() + "/second.sock";
  options.enrol_listen = "[::]:0";
  options.identity_key_pem = keys.identity.private_key_pem;
  options.make_certificate = [&] {
    return pki::self_signed_certificate(keys.identity, os::wall_now(), 90);
  };
  control::testing::Gateway gateway;
  const auto made = Server::create(io, *gateway.control, gateway.log, options);
  ASSERT_TRUE(made) << made.error().message;
  std::thread thread([&] { io.run(); });
  for (const char* host : {"127.0.0.1", "::1", "localhost"}) {
    bool sent = false;
    const auto answer = client::exchange_pinned(
        {.at = {.host = host, .port = (*made)->enrol_port()}, .pin = keys.identity.pin},
        {.method = "GET", .target = "/", .body = {}}, sent);
    EXPECT_TRUE(answer) << host << ": " << answer.error().message;
  }
  boost::asio::post(io, [&] { (*made)->stop(); });
  thread.join();
}

TEST(Enrolment, BadListenAddressesAreRefused) {
  TestServer server;
  boost::asio::io_context io(1);
  for (const char* listen : {"51800", "host.example.org:51800", "[::]", "1.2.3:5", "[::]:99999"}) {
    Options options;
    options.socket_path = server.scratch.path() + "/second.sock";
    options.enrol_listen = listen;
    options.identity_key_pem = server.identity.private_key_pem;
    options.make_certificate = [&] {
      return pki::self_signed_certificate(server.identity, os::wall_now(), 90);
    };
    const auto made = Server::create(io, *server.gateway.control, server.gateway.log, options);
    ASSERT_FALSE(made) << listen;
    EXPECT_EQ(made.error().kind, base::ErrorKind::Invalid) << listen;
  }
}

}  // namespace
}  // namespace warren::server
