#include "server/server.hpp"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <grp.h>
#include <sys/wait.h>

#include "api/json.hpp"
#include "server/server_fixture.hpp"

namespace warren::server {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::read_to_end;
using testing::send_all;
using ::testing::StartsWith;
using testing::talk;
using testing::TestServer;

std::string request(const std::string& method, const std::string& target,
                    const std::string& body = "") {
  std::string text = method + " " + target + " HTTP/1.1\r\nHost: warren\r\nConnection: close\r\n";
  if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return text + "\r\n" + body;
}
std::string status_of(const std::string& answer) {
  return answer.size() < 12 ? answer : answer.substr(9, 3);
}
std::string body_of(const std::string& answer) {
  const std::size_t at = answer.find("\r\n\r\n");
  return at == std::string::npos ? "" : answer.substr(at + 4);
}

TEST(Server, AnswersAllRoutesOfTheApi) {
  TestServer server;
  const auto ask = [&](const std::string& method, const std::string& target,
                       const std::string& body = "") {
    return talk(server.socket_path(), request(method, target, body));
  };
  EXPECT_EQ(status_of(ask("GET", "/v1/status")), "200");
  const std::string made =
      ask("POST", "/v1/networks", R"({"schema":1,"name":"lab","subnet":"10.20.0.0/24"})");
  ASSERT_EQ(status_of(made), "200") << made;
  EXPECT_THAT(made, HasSubstr("Content-Type: application/json"));
  EXPECT_EQ(api::decode<api::NetworkView>(body_of(made))->name, "lab");
  EXPECT_EQ(api::decode<api::NetworkList>(body_of(ask("GET", "/v1/networks")))->networks.size(),
            1U);
  EXPECT_EQ(status_of(ask("GET", "/v1/networks/lab")), "200");
  const std::string invited =
      ask("POST", "/v1/networks/lab/invites", R"({"schema":1,"name":"laptop"})");
  EXPECT_TRUE(api::decode<api::Invitation>(body_of(invited))) << invited;
  EXPECT_EQ(status_of(ask("GET", "/v1/networks/lab/peers")), "200");
  EXPECT_EQ(status_of(ask("GET", "/v1/networks/lab/peers/laptop")), "200");
  const auto added = ask("POST", "/v1/networks/lab/peers", R"({"schema":1,"name":"phone"})");
  EXPECT_EQ(api::decode<api::PeerView>(body_of(added))->state, "waits-for-key");
  const std::string phone = "/v1/networks/lab/peers/phone";
  EXPECT_EQ(status_of(ask("POST", phone + "/key", R"({"schema":1,"public_key":"no"})")), "400");
  EXPECT_EQ(status_of(ask("GET", phone + "/profile")), "200");
  EXPECT_EQ(status_of(ask("POST", phone + "/rename", R"({"schema":1,"name":"laptop"})")), "409");
  EXPECT_EQ(status_of(ask("POST", phone + "/rename", R"({"schema":1,"name":"tablet"})")), "200");
  EXPECT_EQ(status_of(ask("GET", phone + "/profile")), "404");
  const auto revoked =
      api::decode<api::Revocation>(body_of(ask("POST", "/v1/networks/lab/peers/laptop/revoke")));
  ASSERT_TRUE(revoked);
  EXPECT_FALSE(revoked->steps.empty());
  const auto audit = api::decode<api::AuditList>(body_of(ask("GET", "/v1/audit?limit=2")));
  ASSERT_TRUE(audit);
  EXPECT_EQ(audit->records.size(), 2U);
  EXPECT_EQ(audit->records[0].actor, "uid 0 (root)");
  EXPECT_EQ(status_of(ask("DELETE", "/v1/networks/lab")), "200");
  EXPECT_EQ(status_of(ask("GET", "/v1/networks/lab")), "404");
}

TEST(Server, RefusalsCarryAnErrorDocument) {
  TestServer server;
  const auto status = [&](const std::string& method, const std::string& target,
                          const std::string& body = "") {
    const std::string answer = talk(server.socket_path(), request(method, target, body));
    EXPECT_TRUE(api::decode_error(body_of(answer))) << answer;
    return status_of(answer);
  };
  EXPECT_EQ(status("GET", "/v1/nothing"), "404");
  EXPECT_EQ(status("PUT", "/v1/networks"), "405");
  EXPECT_EQ(status("POST", "/v1/networks", "{"), "400");
  EXPECT_EQ(status("POST", "/v1/networks"), "400");
  EXPECT_EQ(status("POST", "/v1/networks", R"({"schema":1,"name":"lab","colour":"red"})"), "400");
  EXPECT_EQ(status("POST", "/v1/networks", R"({"schema":2,"name":"lab"})"), "400");
  EXPECT_EQ(status("POST", "/v1/networks", std::string("\xff\xfe\x00", 3)), "400");
  EXPECT_EQ(status("GET", "/v1/networks/%ff%fe"), "404");
  EXPECT_EQ(status("GET", "/v1/audit?limit=0"), "400");
  EXPECT_EQ(status("GET", "/v1/audit?limit=many"), "400");
  EXPECT_EQ(status("POST", "/v1/reload"), "503");
  EXPECT_EQ(status("POST", "/v1/enrol", "{}"), "404") << "enrolment is not on the API socket";
}

TEST(Server, ReloadCallsTheHook) {
  int reloads = 0;
  TestServer server({}, [&]() -> base::Result<api::Reloaded> {
    if (++reloads == 1) return api::Reloaded{{"admin.listen"}};
    return base::make_error(base::ErrorKind::Invalid, "warren.yaml:3: no such key");
  });
  const std::string done = talk(server.socket_path(), request("POST", "/v1/reload"));
  EXPECT_EQ(status_of(done), "200");
  EXPECT_THAT(done, HasSubstr(R"("at_next_start":["admin.listen"])"));
  const std::string refused = talk(server.socket_path(), request("POST", "/v1/reload"));
  EXPECT_EQ(status_of(refused), "400");
  EXPECT_THAT(refused, HasSubstr("warren.yaml:3"));
}

TEST(Server, KeepsAConnectionForManyRequestsUpToItsLimit) {
  Limits limits;
  limits.requests_per_connection = 3;
  TestServer server(limits);
  std::string five;
  for (int i = 0; i < 5; ++i) five += "GET /v1/status HTTP/1.1\r\nHost: warren\r\n\r\n";
  const std::string answers = talk(server.socket_path(), five);
  std::size_t count = 0;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 200", at)) != std::string::npos; ++at) {
    ++count;
  }
  EXPECT_EQ(count, 3U);
  EXPECT_THAT(answers, Not(EndsWith("<still open>")));
}

struct Malformed {
  const char* name;
  std::string bytes;
  const char* status;
};
void PrintTo(const Malformed& kind, std::ostream* out) { *out << kind.name; }
class MalformedHttp : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedHttp, IsRefusedAndTheServerGoesOn) {
  TestServer server;
  const std::string answer = talk(server.socket_path(), GetParam().bytes);
  EXPECT_EQ(status_of(answer), GetParam().status) << answer;
  EXPECT_THAT(answer, Not(EndsWith("<still open>")));
  EXPECT_TRUE(api::decode_error(body_of(answer))) << answer;
  EXPECT_EQ(status_of(talk(server.socket_path(), request("GET", "/v1/status"))), "200");
}

const std::string kStart = "POST /v1/networks HTTP/1.1\r\nHost: x\r\n";
INSTANTIATE_TEST_SUITE_P(
    Kinds, MalformedHttp,
    ::testing::Values(
        Malformed{"garbage", "GARBAGE\r\n\r\n", "400"},
        Malformed{"tls", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15),
                  "400"},
        Malformed{"no_version", "GET /v1/status\r\n\r\n", "400"},
        Malformed{"version", "GET /v1/status HTTP/9.9\r\nHost: x\r\n\r\n", "400"},
        Malformed{"http2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"},
        Malformed{"no_host", "GET /v1/status HTTP/1.1\r\n\r\n", "400"},
        Malformed{"no_colon", "GET /v1/status HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", "400"},
        Malformed{"blank_name", "GET /v1/status HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", "400"},
        Malformed{"nul", std::string("GET /v1/status HTTP/1.1\r\nHost: x\r\na: \0\r\n\r\n", 42),
                  "400"},
        Malformed{"length_text", kStart + "Content-Length: abc\r\n\r\n", "400"},
        Malformed{"length_negative", kStart + "Content-Length: -1\r\n\r\n", "400"},
        Malformed{"length_huge", kStart + "Content-Length: 99999999999999999999\r\n\r\n", "400"},
        Malformed{"two_lengths", kStart + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                  "400"},
        Malformed{"length_and_chunks",
                  kStart + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                  "400"},
        Malformed{"chunk_size", kStart + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", "400"},
        Malformed{"target", "GET v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                  "400"},
        Malformed{"absolute",
                  "GET http://x/v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400"},
        Malformed{"long_target", "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n", "431"},
        Malformed{"long_header",
                  "GET / HTTP/1.1\r\nHost: x\r\na: " + std::string(20'000, 'a') + "\r\n\r\n",
                  "431"},
        Malformed{"body_too_large", kStart + "Content-Length: 70000\r\n\r\n", "413"},
        Malformed{"body_too_large_sent",
                  kStart + "Content-Length: 70000\r\n\r\n" + std::string(70'000, ' '), "413"},
        Malformed{"chunks_too_large",
                  kStart + "Transfer-Encoding: chunked\r\n\r\n20000\r\n" +
                      std::string(0x20000, ' ') + "\r\n0\r\n\r\n",
                  "413"}),
    [](const auto& kind) { return std::string(kind.param.name); });

TEST(Server, SurvivesRequestsCutOffAtEveryByte) {
  TestServer server;
  const std::string whole = request("POST", "/v1/networks", R"({"schema":1,"name":"lab"})");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto socket = os::unix_connect(os::UnixType::Stream, server.socket_path());
    ASSERT_TRUE(socket);
    send_all(socket->get(), std::string_view(whole).substr(0, size));
    ::shutdown(socket->get(), SHUT_WR);
    EXPECT_EQ(read_to_end(socket->get()), "") << size;
  }
  EXPECT_EQ(status_of(talk(server.socket_path(), request("GET", "/v1/networks/lab"))), "404");
}

TEST(Server, SurvivesRandomDamage) {
  Limits limits;
  limits.read_timeout = std::chrono::milliseconds(20);
  TestServer server(limits);
  const std::uint32_t seed = 20'250'601;
  std::mt19937 random(seed);
  const std::string whole = request("POST", "/v1/networks", R"({"schema":1,"name":"Lab"})");
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole;
    for (std::uint32_t hits = 1 + random() % 4; hits > 0; --hits) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const std::string answer = talk(server.socket_path(), damaged);
    EXPECT_THAT(answer, Not(EndsWith("<still open>"))) << "seed " << seed << " round " << round;
    EXPECT_THAT(status_of(answer), Not(StartsWith("5"))) << "seed " << seed << " round " << round;
  }
  EXPECT_EQ(status_of(talk(server.socket_path(), request("GET", "/v1/status"))), "200");
}

TEST(Server, ASlowClientIsCutOffAndHoldsNobodyUp) {
  Limits limits;
  limits.read_timeout = std::chrono::milliseconds(300);
  TestServer server(limits);
  const auto slow = os::unix_connect(os::UnixType::Stream, server.socket_path());
  ASSERT_TRUE(slow);
  send_all(slow->get(), "GET /v1/sta");
  EXPECT_EQ(status_of(talk(server.socket_path(), request("GET", "/v1/status"))), "200");
  EXPECT_EQ(read_to_end(slow->get()), "");
}

TEST(Server, AClientThatDripsBytesHasTheSameDeadline) {
  Limits limits;
  limits.read_timeout = std::chrono::milliseconds(300);
  TestServer server(limits);
  const auto slow = os::unix_connect(os::UnixType::Stream, server.socket_path());
  ASSERT_TRUE(slow);
  bool closed = false;
  for (int i = 0; i < 100 && !closed; ++i) {  // a byte each 50 ms would take 5 s
    send_all(slow->get(), "G");
    pollfd ready{.fd = slow->get(), .events = POLLIN, .revents = 0};
    closed = ::poll(&ready, 1, 50) > 0;
  }
  EXPECT_TRUE(closed);
}

TEST(Server, ExpectContinueIsAnswered) {
  TestServer server;
  const auto socket = os::unix_connect(os::UnixType::Stream, server.socket_path());
  ASSERT_TRUE(socket);
  const std::string body = R"({"schema":1,"name":"lab"})";
  send_all(socket->get(),
           "POST /v1/networks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
           "Expect: 100-continue\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n");
  std::array<char, 256> piece;
  const ssize_t size = ::read(socket->get(), piece.data(), piece.size());
  ASSERT_GT(size, 0);
  EXPECT_THAT(std::string(piece.data(), static_cast<std::size_t>(size)),
              StartsWith("HTTP/1.1 100"));
  send_all(socket->get(), body);
  EXPECT_THAT(read_to_end(socket->get()), HasSubstr("HTTP/1.1 "));
}

TEST(Server, ConnectionsBeyondTheLimitAreClosed) {
  Limits limits;
  limits.api_connections = 2;
  TestServer server(limits);
  auto first = os::unix_connect(os::UnixType::Stream, server.socket_path());
  auto second = os::unix_connect(os::UnixType::Stream, server.socket_path());
  ASSERT_TRUE(first && second);
  EXPECT_EQ(talk(server.socket_path(), request("GET", "/v1/status")), "");
  first->reset();
  std::string answer;
  for (int i = 0; i < 100 && answer.empty(); ++i) {
    answer = talk(server.socket_path(), request("GET", "/v1/status"));
  }
  EXPECT_EQ(status_of(answer), "200");
}

/// What a process of another user sees; its groups are all dropped.
std::string talk_as(uid_t uid, gid_t gid, const std::string& path, const std::string& bytes) {
  int ends[2];
  if (::pipe(ends) != 0) return "";
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(gid) != 0 || ::setuid(uid) != 0) ::_exit(1);
    const std::string answer = talk(path, bytes);
    ::_exit(::write(ends[1], answer.data(), answer.size()) < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  const std::string answer = read_to_end(ends[0]);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return answer;
}

TEST(Access, TheSocketIsForRootAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  TestServer server;
  struct stat info{};
  ASSERT_EQ(::stat(server.socket_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(talk_as(65534, 65534, server.socket_path(), request("GET", "/v1/status")),
            "<no connection>");
}

TEST(Access, AStrangerWithTheSocketOpenIsRefusedByItsUid) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  TestServer server;
  ::chmod(server.socket_path().c_str(), 0666);
  const std::string answer = talk_as(65534, 65534, server.socket_path(),
                                     request("POST", "/v1/networks", R"({"schema":1,"name":"x"})"));
  EXPECT_EQ(status_of(answer), "403");
  EXPECT_THAT(answer, HasSubstr("uid 65534"));
  EXPECT_THAT(answer, HasSubstr("usermod"));
  EXPECT_TRUE(server.gateway.state().networks.empty());
}

TEST(Access, AMemberOfTheGroupMayUseIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  testing::ScratchDirectory scratch;
  const group* games = ::getgrnam("games");
  if (games == nullptr) GTEST_SKIP() << "the host has no group 'games'";
  control::testing::Gateway gateway;
  boost::asio::io_context io(1);
  Options options;
  options.socket_path = scratch.path() + "/api.sock";
  options.group = "games";
  options.enrol_listen = "";
  auto server = Server::create(io, *gateway.control, gateway.log, options);
  ASSERT_TRUE(server) << server.error().message;
  std::thread thread([&] { io.run(); });
  struct stat info{};
  ASSERT_EQ(::stat(options.socket_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660U);
  EXPECT_EQ(info.st_gid, games->gr_gid);
  EXPECT_EQ(
      status_of(talk_as(65534, games->gr_gid, options.socket_path, request("GET", "/v1/status"))),
      "200");
  EXPECT_EQ((*server)->enrol_port(), 0);
  boost::asio::post(io, [&] { (*server)->stop(); });
  thread.join();
  EXPECT_NE(::access(options.socket_path.c_str(), F_OK), 0) << "the socket file must go";
}

}  // namespace
}  // namespace warren::server
