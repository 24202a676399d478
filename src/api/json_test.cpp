#include "api/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace warren::api {
namespace {

using testing::HasSubstr;

NetworkView network_view() {
  NetworkView view;
  view.id = "3f9c01ab";
  view.name = "lab";
  view.subnet = "10.20.0.0/24";
  view.gateway = "10.20.0.1";
  view.port = 65535;
  view.endpoint = "gw.example.org:51820";
  view.public_key = "key";
  view.dns = {"10.20.0.1", "fd00::1"};
  view.nat = false;
  view.peers = 0xffffffff;
  view.engine = "running";
  view.engine_report = {"aead avx512", {{"tun-reads", std::numeric_limits<std::uint64_t>::max()}}};
  view.created = std::numeric_limits<std::int64_t>::min();
  return view;
}

std::string many_keys(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += ",\"k" + std::to_string(i) + "\":1";
  return text;
}

PeerView peer_view() {
  PeerView view;
  view.network = "lab";
  view.name = "laptop \"quoted\" \\ ü\n";
  view.rx_bytes = std::numeric_limits<std::uint64_t>::max();
  view.last_handshake = 1'700'000'000;
  return view;
}

/// Encoding what was decoded gives the same text: with a text that shows every member, the codec
/// loses nothing.
template <typename T>
void expect_round_trip(const T& document) {
  const std::string text = encode(document);
  const auto decoded = decode<T>(text);
  ASSERT_TRUE(decoded) << decoded.error().message << " in " << text;
  EXPECT_EQ(encode(*decoded), text);
}

TEST(Json, EveryTypeReadsBack) {
  expect_round_trip(Empty{});
  expect_round_trip(Reloaded{{"admin.listen"}});
  expect_round_trip(NetworkCreate{.name = "lab"});
  expect_round_trip(NetworkCreate{
      .name = "lab",
      .roles = {{.name = "node", .range = "10.20.1.0/24", .max_members = 7, .expires_s = 8}},
      .default_role = "node",
      .max_members = 9});
  expect_round_trip(RoleAdd{.name = "node", .range6 = "fd00::/112"});
  expect_round_trip(RoleSet{.range = "none", .max_members = 0});
  expect_round_trip(RoleList{{{.network = "lab",
                               .name = "node",
                               .range = "10.20.1.0/24",
                               .range6 = "fd00::/112",
                               .members = 1,
                               .max_members = 2,
                               .expires_s = 3,
                               .is_default = true}}});
  expect_round_trip(PolicySet{{"rules:", "  - node -> any: tcp 1"}});
  expect_round_trip(PolicyView{.network = "lab",
                               .present = true,
                               .in_force = true,
                               .lines = {"rules: []"},
                               .rules = {{3, "a -> b: any"}},
                               .warnings = {"w"}});
  expect_round_trip(PolicyTest{.from = "a", .to = "b", .port = "tcp/1"});
  expect_round_trip(PolicyAnswer{
      .network = "lab", .allowed = true, .line = 2, .rule = "a -> b: any", .reason = "r"});
  expect_round_trip(VerifyReport{.networks = {"lab"}, .differences = {{"lab", "host", "w", "r"}}});
  expect_round_trip(NetworkCreate{.name = "lab",
                                  .subnet = "a",
                                  .subnet6 = "none",
                                  .port = 1,
                                  .endpoint = "gw",
                                  .dns = {"1.1.1.1"},
                                  .nat = false});
  expect_round_trip(network_view());
  expect_round_trip(NetworkList{{network_view(), network_view()}});
  expect_round_trip(InviteRequest{.name = "ann", .role = "node", .expires_s = 7, .uses = 3});
  expect_round_trip(Invitation{"lab", "ann", "warren1x", 99, 3});
  expect_round_trip(PeerAdd{.name = "phone"});
  expect_round_trip(PeerAdd{.name = "phone",
                            .role = "default",
                            .public_key = "key",
                            .addresses = {"10.20.0.7", "fd00::7"},
                            .expires_s = 60});
  expect_round_trip(PeerKey{"key"});
  expect_round_trip(PeerRename{"tablet"});
  expect_round_trip(peer_view());
  expect_round_trip(PeerList{{peer_view()}});
  expect_round_trip(NetworkCreate{.name = "lab", .ca_certificates = "c", .ca_key = "k"});
  expect_round_trip(AuthorityList{"lab",
                                  {{.number = 2,
                                    .current = true,
                                    .brought = true,
                                    .chain = {{"s", "i", "f", 1, 2}},
                                    .certificates = "pem",
                                    .good = 3,
                                    .revoked = 4,
                                    .list_number = 5,
                                    .awaits = {"ann"}}}});
  expect_round_trip(AuthorityRotate{.ca_certificates = "c", .ca_key = "k", .drop_old = true});
  expect_round_trip(CertificateSign{.certificate_request = "r",
                                    .server = true,
                                    .dns_names = {"a.lab"},
                                    .addresses = {"::1"},
                                    .peer = "ann",
                                    .days = 7});
  expect_round_trip(SignedCertificate{"lab", "a.lab", "01", 6, "pem", "pems"});
  expect_round_trip(CertificateList{"lab", {{"01", 2, "ann", "member", true, 3, 4, 5}}});
  expect_round_trip(DoctorReport{{{"lab", "authority 1", "weak", "t", "r", 29}}});
  expect_round_trip(Revocation{"lab", "ann", {{"committed", 0.25}, {"engine", 1e-3}}, 1.5, {"x"}});
  expect_round_trip(Status{"0.1.0", "/var/lib/warren", 5, 1, 2, true, {"no engine"}});
  expect_round_trip(
      AuditEntry{7, 1, 1'000'000'000, "uid 0", "network.create", "lab", "ok", "00ff"});
  expect_round_trip(AuditList{{{7, 1, 1'000'000'000, "uid 0", "network.create", "lab", "ok", ""}}});
  expect_round_trip(AuditSpan{2, "00", 9, "ff"});
  expect_round_trip(PeerBatch{{{.name = "ann", .role = "node"}}});
  expect_round_trip(EnrolRequest{"c2VjcmV0", "key", -1, true});
  expect_round_trip(EnrolAnswer{"lab",
                                "ann",
                                "10.20.0.2/24",
                                "",
                                "10.20.0.1",
                                "",
                                "key",
                                "gw:51820",
                                {"10.20.0.0/24"},
                                {},
                                1420,
                                60});
  const EnrolAnswer answer{.network = "lab", .name = "ann", .mtu = 1280};
  expect_round_trip(MemberRequest{"lab", "key", "proof", "r1", 50});
  expect_round_trip(MemberState{"r2", answer, "gw:51800", true});
  expect_round_trip(MemberLeft{"lab", "ann"});
  expect_round_trip(Environment{"lab", {{"MQTT_BROKER", "mqtt.lab.internal"}}});
}

TEST(Json, ValuesArrive) {
  const auto view = decode<PeerView>(encode(peer_view()));
  ASSERT_TRUE(view);
  EXPECT_EQ(view->name, peer_view().name);
  EXPECT_EQ(view->rx_bytes, std::numeric_limits<std::uint64_t>::max());
  const auto network = decode<NetworkView>(encode(network_view()));
  ASSERT_TRUE(network);
  EXPECT_EQ(network->port, 65535);
  EXPECT_EQ(network->created, std::numeric_limits<std::int64_t>::min());
  EXPECT_FALSE(network->nat);
}

TEST(Json, HasItsDocumentedForm) {
  EXPECT_EQ(encode(Empty{}), R"({"schema":1})");
  EXPECT_EQ(encode(InviteRequest{.name = "ann"}),
            R"({"schema":1,"name":"ann","role":"","expires_s":86400,"uses":1})");
  EXPECT_EQ(encode(NetworkCreate{.name = "lab", .port = 7}),
            R"({"schema":1,"name":"lab","port":7,"dns":[],"nat":true,)"
            R"("gateway_addresses":[],"reserve":[],"roles":[]})");
}

TEST(Json, DefaultsOfARequestStay) {
  const auto request = decode<NetworkCreate>(R"({"name":"lab","schema":1})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_FALSE(request->subnet);
  EXPECT_FALSE(request->port);
  EXPECT_TRUE(request->nat);
  EXPECT_EQ(decode<InviteRequest>(R"({"schema":1,"name":"a"})")->expires_s, 24U * 3600U);
}

struct Bad {
  std::string text;
  const char* message;
};

TEST(Json, RefusalsNameTheKey) {
  for (const Bad& bad : {
           Bad{R"({"schema":1})", "key \"name\" is missing"},
           Bad{R"({"name":"a"})", "key \"schema\" is missing"},
           Bad{R"({"schema":2,"name":"a"})", "key \"schema\" must be 1"},
           Bad{R"({"schema":"1","name":"a"})", "key \"schema\" must be 1"},
           Bad{R"({"schema":1.0,"name":"a"})", "key \"schema\" must be 1"},
           Bad{R"({"schema":1,"name":"a","nmae":1})", "key \"nmae\" is not known"},
           Bad{R"({"schema":1,"name":7})", "key \"name\" must be a string, not number"},
           Bad{R"({"schema":1,"name":null})", "key \"name\" must be a string, not null"},
           Bad{R"({"schema":1,"name":"a","nat":1})", "key \"nat\" must be true or false"},
           Bad{R"({"schema":1,"name":"a","port":"1"})", "key \"port\" must be a whole number"},
           Bad{R"({"schema":1,"name":"a","port":1.5})", "key \"port\" must be a whole number"},
           Bad{R"({"schema":1,"name":"a","port":65536})", "key \"port\" must be from 0 to 65535"},
           Bad{R"({"schema":1,"name":"a","port":-1})", "key \"port\" must be from 0 to 65535"},
           Bad{R"({"schema":1,"name":"a","subnet":null})", "key \"subnet\" must be a string"},
           Bad{R"({"schema":1,"name":"a","dns":"x"})", "key \"dns\" must be a list"},
           Bad{R"({"schema":1,"name":"a","dns":["x",3]})", "key \"dns[1]\" must be a string"},
           Bad{R"({"schema":1,"name":"a","name":"b"})", "key \"name\" is given twice"},
           Bad{R"({"schema":1,"name":"a")" + many_keys(10'000) + "}", "has more than 256 keys"},
           Bad{R"({"schema":1)" + many_keys(256) + "}", "has more than 256 keys"},
           Bad{R"({"schema":1)" + many_keys(255) + "}", "key \"name\" is missing"},
           Bad{R"({"schema":1,"name":"a\u0000b"})", "key \"name\" holds a zero byte"},
           Bad{R"([1])", "not a JSON object"},
           Bad{R"("text")", "not a JSON object"},
           Bad{"", "not valid JSON"},
           Bad{R"({"schema":1,"name":"a"} x)", "not valid JSON"},
           Bad{R"({"schema":1,"name":"a",})", "not valid JSON"},
           Bad{"{\"schema\":1,\"name\":\"\xff\"}", "not valid JSON"},
           Bad{R"({"schema":99999999999999999999,"name":"a"})", "key \"schema\" must be 1"},
       }) {
    const auto decoded = decode<NetworkCreate>(bad.text);
    ASSERT_FALSE(decoded) << bad.text;
    EXPECT_EQ(decoded.error().kind, base::ErrorKind::Invalid) << bad.text;
    EXPECT_THAT(decoded.error().message, HasSubstr(bad.message)) << bad.text;
  }
}

TEST(Json, RefusalsInsideListsNameThePath) {
  std::string text = encode(NetworkList{{network_view(), network_view()}});
  const std::size_t at = text.rfind("\"nat\":false");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 11, "\"nat\":0");
  EXPECT_EQ(decode<NetworkList>(text).error().message,
            "key \"networks[1].nat\" must be true or false, not number");
  EXPECT_EQ(decode<NetworkList>(R"({"schema":1,"networks":[{}]})").error().message,
            "key \"networks[0].id\" is missing");
  EXPECT_EQ(decode<NetworkList>(R"({"schema":1,"networks":[3]})").error().message,
            "key \"networks[0]\" must be an object, not number");
  EXPECT_THAT(decode<Revocation>(R"({"schema":1,"network":"","name":"","total_ms":1,"pending":[],
                                     "steps":[{"step":"a","ms":1,"x":1}]})")
                  .error()
                  .message,
              HasSubstr("steps[0].x"));
}

TEST(Json, EveryRequiredKeyOfAViewIsMissed) {
  // Renaming any one key of a full document makes it unreadable.
  const std::string text = encode(peer_view());
  std::size_t keys = 0;
  for (std::size_t at = text.find("\":"); at != std::string::npos; at = text.find("\":", at + 1)) {
    std::string renamed = text;
    renamed.insert(at, "_");
    EXPECT_FALSE(decode<PeerView>(renamed)) << renamed;
    ++keys;
  }
  EXPECT_EQ(keys, 18U);
}

TEST(Json, LimitsHold) {
  EXPECT_THAT(decode<Empty>(std::string(kMaxDocumentBytes + 1, ' ')).error().message,
              HasSubstr("too large"));
  const std::string deep = "{\"schema\":1,\"x\":" + std::string(1'000'000, '[');
  EXPECT_THAT(decode<Empty>(deep).error().message, HasSubstr("nested too deeply"));
  EXPECT_THAT(decode<InviteRequest>("{\"schema\":1,\"name\":\"" +
                                    std::string(kMaxStringBytes + 1, 'a') + "\"}")
                  .error()
                  .message,
              HasSubstr("too long"));
  // Brackets inside strings are no nesting.
  EXPECT_TRUE(decode<InviteRequest>(R"({"schema":1,"name":"[[[[[[[[[[[[{{{\"[[[["})"));
  // A long key is not repeated whole.
  const auto refused = decode<Empty>("{\"schema\":1,\"" + std::string(100'000, 'k') + "\":1}");
  EXPECT_LT(refused.error().message.size(), 200U);
}

TEST(Json, EveryTruncationIsRefused) {
  const std::string text = encode(network_view());
  for (std::size_t size = 0; size < text.size(); ++size) {
    ASSERT_FALSE(decode<NetworkView>(text.substr(0, size))) << size;
  }
}

TEST(Json, SurvivesRandomChanges) {
  std::minstd_rand random(31);
  const std::string text = encode(Revocation{"lab", "ann", {{"committed", 0.25}}, 1.5, {"x"}});
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = text;
    for (int i = 0; i < 3; ++i) {
      changed[random() % changed.size()] = "{}[]\",:01e-x\\u\xc3"[random() % 15];
    }
    const auto decoded = decode<Revocation>(changed);
    ASSERT_TRUE(decoded || decoded.error().kind == base::ErrorKind::Invalid) << changed;
  }
}

TEST(Json, EncodesWhatIsNotUtf8) {
  EXPECT_EQ(encode(InviteRequest{.name = "a\xff"}),
            "{\"schema\":1,\"name\":\"a\xef\xbf\xbd\",\"role\":\"\","
            "\"expires_s\":86400,\"uses\":1}");
}

TEST(ErrorJson, ReadsBackWithEveryKind) {
  for (const base::ErrorKind kind :
       {base::ErrorKind::Failed, base::ErrorKind::Invalid, base::ErrorKind::NotFound,
        base::ErrorKind::Conflict, base::ErrorKind::NotPermitted, base::ErrorKind::Unavailable,
        base::ErrorKind::Expired, base::ErrorKind::Internal}) {
    const auto error = decode_error(encode_error(base::make_error(kind, "what", "do this")));
    ASSERT_TRUE(error) << base::to_string(kind);
    EXPECT_EQ(error->kind, kind);
    EXPECT_EQ(error->message, "what");
    EXPECT_EQ(error->hint, "do this");
  }
  EXPECT_TRUE(decode_error(
      encode_error(base::make_error(base::ErrorKind::Failed, std::string(100'000, 'x')))));
}

TEST(ErrorJson, RefusesOtherDocuments) {
  EXPECT_FALSE(decode_error(R"({"schema":1})"));
  EXPECT_FALSE(decode_error(R"({"schema":1,"error":"x"})"));
  EXPECT_FALSE(decode_error(R"({"schema":1,"error":{"kind":"odd","message":"","hint":""}})"));
  EXPECT_FALSE(decode_error(R"({"schema":1,"error":{"kind":"failed","message":""}})"));
}

TEST(ErrorJson, StatusOfEachKind) {
  EXPECT_EQ(http_status(base::ErrorKind::Invalid), 400);
  EXPECT_EQ(http_status(base::ErrorKind::NotPermitted), 403);
  EXPECT_EQ(http_status(base::ErrorKind::NotFound), 404);
  EXPECT_EQ(http_status(base::ErrorKind::Conflict), 409);
  EXPECT_EQ(http_status(base::ErrorKind::Expired), 410);
  EXPECT_EQ(http_status(base::ErrorKind::Unavailable), 503);
  EXPECT_EQ(http_status(base::ErrorKind::Failed), 500);
  EXPECT_EQ(http_status(base::ErrorKind::Internal), 500);
}

}  // namespace
}  // namespace warren::api
