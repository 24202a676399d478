#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "document/document.hpp"
#include "document/document_fixture.hpp"

namespace warren::document {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// "LINE:COLUMN TEXT | HINT" of each.
std::vector<std::string> said(const std::vector<Problem>& problems) {
  std::vector<std::string> out;
  for (const Problem& one : problems) {
    out.push_back(std::to_string(one.place.line) + ":" + std::to_string(one.place.column) + " " +
                  one.text + (one.hint.empty() ? "" : " | " + one.hint));
  }
  return out;
}

constexpr std::string_view kMeaningless = R"(warren: 1
networks:
  study:
    subnet: 10.220.0.0/16
    default-role: nobody
    reserve: 10.220.9.0/24
    roles:
      node: {range: 10.220.1.0/24}
      far: {range: 10.221.0.0/24}
    policy:
      # nodes ask the broker
      rules:
        - node -> brokr: tcp 1883
    peers:
      broker: {address: 10.220.0.5}
      guest: {role: nodee}
      one: {role: node, address: 10.220.2.1}
      two: {address: 10.220.0.5}
      three: {address: 10.230.0.1}
      four: {address: 10.220.9.9}
      five: {address: [10.220.3.1, 10.220.3.2]}
      six: {key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=}
      seven:
        key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    forwards:
      8080/tcp:
        peer: nobody
      80: {peer: broker}
  other:
    forwards:
      80/tcp: {peer: broker}
)";

TEST(Mistakes, AreAllNamedAtTheirPlace) {
  EXPECT_THAT(
      said(mistakes(parsed(kMeaningless), {}, false)),
      ElementsAre(
          "5:19 network study has no role \"nobody\" | did you mean node?",
          "9:20 the range 10.221.0.0-10.221.0.255 of role far is not inside the network's subnet "
          "10.220.0.0/16 | choose one inside it",
          "13:19 network study has no role or peer \"brokr\" | did you mean broker?",
          "16:21 network study has no role \"nodee\" | did you mean node?",
          HasSubstr("17:34 address 10.220.2.1 is outside 10.220.1.0-10.220.1.255, the range of "
                    "role node"),
          HasSubstr("18:22 address 10.220.0.5 belongs to broker already"),
          HasSubstr("19:24 address 10.230.0.1 is outside network study"),
          HasSubstr("20:23 address 10.220.9.9 lies in the reserved range"),
          HasSubstr("21:23 peer five has two addresses of one family"),
          HasSubstr("24:14 this key is that of peer six already"),
          HasSubstr("27:15 network study has no peer \"nobody\""),
          HasSubstr("31:7 port 80/tcp leads into network study already"),
          HasSubstr("31:22 network other has no peer \"broker\"")));
}

TEST(Mistakes, AreNoneWhereTheGatewayHasIt) {
  EXPECT_THAT(said(mistakes(parsed(kStudy), {}, false)), IsEmpty());
  const Current current = made_of(parsed(kStudy));
  const auto found = [&](const std::string& settings, bool prune) {
    return said(mistakes(parsed("warren: 1\nnetworks:\n  study: " + settings + "\n"),
                         {{"study", current}}, prune));
  };
  constexpr const char* kNamesWhatIsThere =
      "{peers: {new: {role: node}}, forwards: {443/tcp: {peer: broker}}}";
  EXPECT_THAT(found(kNamesWhatIsThere, false), IsEmpty());
  EXPECT_THAT(found(kNamesWhatIsThere, true),
              ElementsAre(HasSubstr("has no role \"node\""), HasSubstr("has no peer \"broker\"")))
      << "they go";
  EXPECT_THAT(found("{peers: {new: {address: 10.220.0.5}}}", false),
              ElementsAre(HasSubstr("belongs to broker already")));
  // Who is there was accepted once; a network that is there keeps its subnet.
  EXPECT_THAT(found("{peers: {ward-3: {address: 10.230.0.1}}}", false), IsEmpty());
  EXPECT_THAT(found("{subnet: 10.99.0.0/16, peers: {new: {address: 10.220.1.9}}}", false),
              IsEmpty());
}

TEST(Place, OfWhatTheGatewayRefuses) {
  const Document study = parsed(kStudy);
  const auto place = [&](ChangeKind kind, const std::string& target, std::string_view message) {
    Change change;
    change.kind = kind;
    change.network = "study";
    change.target = target;
    const Place found = place_of(study, change, message);
    return std::to_string(found.line) + ":" + std::to_string(found.column);
  };
  EXPECT_EQ(place(ChangeKind::CreateNetwork, "", "the subnet 10.220.0.0/16 overlaps lab"), "4:13");
  EXPECT_EQ(place(ChangeKind::CreateNetwork, "", "there is no link br100"), "7:13");
  EXPECT_EQ(place(ChangeKind::CreateNetwork, "", "there are too many networks"), "3:3");
  EXPECT_EQ(place(ChangeKind::CreateNetwork, "", "roles overlap at 10.220.1.0/24"), "18:16");
  EXPECT_EQ(place(ChangeKind::AddPeers, "", "add peer ward-3: the network is full"), "33:7");
  EXPECT_EQ(place(ChangeKind::AddPeers, "", "add peer broker: address 10.220.0.5 is used"),
            "32:18");
  EXPECT_EQ(place(ChangeKind::AddForward, "8080/tcp", "the port is used"), "35:7");
  EXPECT_EQ(place(ChangeKind::SetPolicy, "", "set the policy: line 7, column 5: no such"), "27:11");
  EXPECT_EQ(place(ChangeKind::SetPolicy, "", "the policy is too large"), "20:5");
}

}  // namespace
}  // namespace warren::document
