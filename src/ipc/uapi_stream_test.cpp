#include <gtest/gtest.h>

#include "ipc/uapi.hpp"

namespace warren::ipc {
namespace {

const std::string kPrivate = "e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a";

UapiPeer peer_of(std::size_t number) {
  UapiPeer peer;
  peer.public_key.bytes[0] = static_cast<std::uint8_t>(number);
  peer.public_key.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  peer.public_key.bytes[2] = static_cast<std::uint8_t>(number >> 16);
  peer.endpoint = base::Endpoint::parse("192.0.2.1:51820");
  peer.replace_allowed_ips = true;
  peer.allowed_ips.push_back(
      {base::Prefix::host(base::IpAddress::v4(static_cast<std::uint32_t>(0x0a000000 + number)))});
  return peer;
}

UapiSet set_of(std::size_t peers) {
  UapiSet set;
  set.private_key.emplace();
  EXPECT_TRUE(base::parse_hex(kPrivate, set.private_key->fill()));
  set.listen_port = 51820;
  set.replace_peers = true;
  for (std::size_t i = 0; i < peers; ++i) set.peers.push_back(peer_of(i));
  return set;
}

/// What came out of a stream, written as text again: "get", "set 3 peers (last)" …
struct Read {
  std::vector<std::string> pieces;
  UapiSet whole;  ///< all pieces of all sets together
  int error = 0;
};

Read read(std::string_view text, std::size_t at_once) {
  UapiStream stream;
  Read out;
  while (!text.empty() && out.error == 0) {
    stream.add(text.substr(0, at_once));
    text.remove_prefix(std::min(at_once, text.size()));
    for (;;) {
      auto piece = stream.poll();
      if (!piece) {
        out.error = piece.error().os_errno;
        EXPECT_FALSE(stream.poll()) << "an error stays";
        break;
      }
      if (!*piece) break;
      const std::string last = (*piece)->last ? " (last)" : "";
      if ((*piece)->is_get) {
        out.pieces.push_back("get" + last);
        continue;
      }
      const UapiSet& set = *(*piece)->set;
      out.pieces.push_back("set " + std::to_string(set.peers.size()) + last);
      if (set.private_key) out.whole.private_key = set.private_key->clone();
      if (set.listen_port) out.whole.listen_port = set.listen_port;
      out.whole.replace_peers |= set.replace_peers;
      for (const UapiPeer& peer : set.peers) {
        UapiPeer copy{.public_key = peer.public_key,
                      .remove = peer.remove,
                      .update_only = peer.update_only,
                      .endpoint = peer.endpoint,
                      .replace_allowed_ips = peer.replace_allowed_ips,
                      .allowed_ips = peer.allowed_ips};
        out.whole.peers.push_back(std::move(copy));
      }
    }
  }
  return out;
}

TEST(UapiStream, ReadsTheSameHoweverTheBytesAreCut) {
  const std::string set = write_uapi_set(set_of(3));
  const std::string text = "get=1\n\n" + set + "set=1\n\nget=1\n\n";
  for (std::size_t at_once = 1; at_once <= text.size(); ++at_once) {
    const Read got = read(text, at_once);
    ASSERT_EQ(got.error, 0) << at_once;
    ASSERT_EQ(got.pieces, (std::vector<std::string>{"get (last)", "set 3 (last)", "set 0 (last)",
                                                    "get (last)"}));
    ASSERT_EQ(write_uapi_set(got.whole), set);
  }
}

TEST(UapiStream, CutsALargeSetIntoPieces) {
  const std::string text = write_uapi_set(set_of(2 * kUapiPiecePeers + 7));
  for (const std::size_t at_once : {1'000'000U, 65'536U, 1'000U, 77U}) {
    const Read got = read(text, at_once);
    ASSERT_EQ(got.error, 0);
    EXPECT_EQ(got.pieces, (std::vector<std::string>{"set 256", "set 256", "set 7 (last)"}));
    EXPECT_EQ(write_uapi_set(got.whole), text);
  }
}

TEST(UapiStream, ASetOfOnePieceIsHandedOutWholeOrNotAtAll) {
  std::string text = write_uapi_set(set_of(kUapiPiecePeers));
  EXPECT_EQ(read(text, 1000).pieces, (std::vector<std::string>{"set 256 (last)"}));
  text.insert(text.size() - 1, "endpoint=nowhere\n");  // behind the last peer
  const Read got = read(text, 1000);
  EXPECT_EQ(got.error, EINVAL);
  EXPECT_TRUE(got.pieces.empty());
}

TEST(UapiStream, PiecesBeforeAMalformedLineStay) {
  std::string text = write_uapi_set(set_of(2 * kUapiPiecePeers));
  text.insert(text.size() - 1, "rubbish\n");
  const Read got = read(text, 4096);
  EXPECT_EQ(got.error, EPROTO);
  EXPECT_EQ(got.pieces, (std::vector<std::string>{"set 256"}));
}

TEST(UapiStream, APeerWithVeryManyAllowedIpsGoesOnInTheNextPiece) {
  UapiSet set = set_of(2);
  set.peers[1].update_only = true;
  for (std::uint32_t i = 0; i < 2 * kUapiPieceAllowedIps; ++i) {
    set.peers[1].allowed_ips.push_back({base::Prefix::host(base::IpAddress::v4(i))});
  }
  const Read got = read(write_uapi_set(set), 65536);
  ASSERT_EQ(got.error, 0);
  ASSERT_EQ(got.pieces, (std::vector<std::string>{"set 2", "set 1", "set 1 (last)"}));
  std::size_t count = 0;
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(got.whole.peers[i].public_key, set.peers[1].public_key);
    EXPECT_TRUE(got.whole.peers[i].update_only) << "what must not be created later is not either";
    EXPECT_EQ(got.whole.peers[i].replace_allowed_ips, i == 1);
    count += got.whole.peers[i].allowed_ips.size();
  }
  EXPECT_EQ(count, set.peers[1].allowed_ips.size());
}

TEST(UapiStream, RefusesWhatIsNoRequest) {
  for (const std::string_view text :
       {"x", "get=2", "set=1 ", "\n", "GET=1\n", "gets", "get=1\nlisten_port=1\n\n"}) {
    EXPECT_EQ(read(text, 100).error, EINVAL) << text;
  }
  const Read got = read("get=1\n\nrubbish", 100);
  EXPECT_EQ(got.error, EINVAL);
  EXPECT_EQ(got.pieces, (std::vector<std::string>{"get (last)"})) << "what came before counts";
  EXPECT_EQ(read("set=1\n" + std::string(kMaxUapiLine + 1, 'a'), 100).error, EINVAL)
      << "a line without end is not kept";
}

}  // namespace
}  // namespace warren::ipc
