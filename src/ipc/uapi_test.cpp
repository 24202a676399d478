#include "ipc/uapi.hpp"

#include <gtest/gtest.h>

namespace warren::ipc {
namespace {

const std::string kPrivate = "e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a";
const std::string kPeer1 = "b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33";
const std::string kPeer2 = "58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376";
const std::string kPsk = "188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52";

int errno_of(std::string_view body) {
  const auto set = parse_uapi_set(body);
  return set ? 0 : set.error().os_errno;
}

UapiSet whole_set() {
  auto set = parse_uapi_set(
      "private_key=" + kPrivate + "\nlisten_port=12912\nfwmark=4294967295\nreplace_peers=true\n" +
      "public_key=" + kPeer1 + "\nupdate_only=true\npreshared_key=" + kPsk +
      "\nendpoint=[abcd:23::33%2]:51820\npersistent_keepalive_interval=65535\n" +
      "replace_allowed_ips=true\nallowed_ip=192.168.4.4/32\nallowed_ip=-10.1.2.3/8\n" +
      "allowed_ip=+fd00::1/64\nprotocol_version=1\npublic_key=" + kPeer2 + "\nremove=true\n");
  EXPECT_TRUE(set);
  return set ? std::move(*set) : UapiSet{};
}

TEST(UapiSet, ReadsEveryKey) {
  const UapiSet set = whole_set();
  EXPECT_EQ(base::to_hex(set.private_key->view()), kPrivate);
  EXPECT_EQ(set.listen_port, 12912);
  EXPECT_EQ(set.fwmark, 0xffffffffU);
  EXPECT_TRUE(set.replace_peers);
  ASSERT_EQ(set.peers.size(), 2U);
  const UapiPeer& peer = set.peers[0];
  EXPECT_EQ(peer.public_key.hex(), kPeer1);
  EXPECT_TRUE(peer.update_only);
  EXPECT_FALSE(peer.remove);
  EXPECT_EQ(base::to_hex(peer.preshared_key->view()), kPsk);
  EXPECT_EQ(peer.endpoint->port, 51820);
  EXPECT_EQ(peer.persistent_keepalive_s, 65535);
  EXPECT_TRUE(peer.replace_allowed_ips);
  ASSERT_EQ(peer.allowed_ips.size(), 3U);
  EXPECT_EQ(peer.allowed_ips[0].prefix.to_string(), "192.168.4.4/32");
  EXPECT_FALSE(peer.allowed_ips[0].remove);
  EXPECT_EQ(peer.allowed_ips[1].prefix.to_string(), "10.0.0.0/8") << "host bits are cleared";
  EXPECT_TRUE(peer.allowed_ips[1].remove);
  EXPECT_EQ(peer.allowed_ips[2].prefix.to_string(), "fd00::/64");
  EXPECT_FALSE(peer.allowed_ips[2].remove);
  EXPECT_TRUE(set.peers[1].remove);
  EXPECT_FALSE(set.peers[1].endpoint);
}

TEST(UapiSet, RoundTripsThroughItsText) {
  const std::string text = write_uapi_set(whole_set());
  UapiStream stream;
  stream.add(text);
  const auto piece = stream.poll();
  ASSERT_TRUE(piece && *piece && (*piece)->last);
  EXPECT_EQ(write_uapi_set(*(*piece)->set), text);
}

TEST(UapiSet, AbsentKeysStayAbsent) {
  const auto set = parse_uapi_set("");
  ASSERT_TRUE(set);
  EXPECT_FALSE(set->private_key || set->listen_port || set->fwmark || set->replace_peers);
  EXPECT_TRUE(set->peers.empty());
}

TEST(UapiSet, RefusesMalformedLines) {
  const std::string peer = "public_key=" + kPeer1 + "\n";
  EXPECT_EQ(errno_of("listen_port"), EPROTO);
  EXPECT_EQ(errno_of("\n"), EPROTO);
  for (const std::string& line :
       {std::string("listen_port=65536"), std::string("listen_port=-1"),
        std::string("listen_port= 1"), std::string("listen_port="), std::string("fwmark=0x10"),
        std::string("fwmark=4294967296"), std::string("replace_peers=false"),
        std::string("replace_peers="), "private_key=" + kPrivate.substr(1),
        "private_key=" + kPrivate + "0", "private_key=" + kPrivate.substr(2) + "zz",
        "public_key=" + kPeer1.substr(2), std::string("unknown=1"), std::string("=1"),
        std::string("endpoint=1.2.3.4:5"), std::string("remove=true"),
        std::string("listen_port=1\r")}) {
    EXPECT_EQ(errno_of(line + "\n"), EINVAL) << line;
  }
  for (const std::string& line :
       {std::string("endpoint=1.2.3.4"), std::string("endpoint=host:1"),
        std::string("endpoint=1.2.3.4:65536"), std::string("allowed_ip=10.0.0.0"),
        std::string("allowed_ip=10.0.0.0/33"), std::string("allowed_ip=--10.0.0.0/8"),
        std::string("allowed_ip=-"), std::string("allowed_ip="), std::string("remove=1"),
        std::string("update_only=false"), std::string("replace_allowed_ips=yes"),
        std::string("protocol_version=2"), std::string("persistent_keepalive_interval=off"),
        std::string("persistent_keepalive_interval=65536"), "preshared_key=" + kPsk.substr(1),
        std::string("listen_port=1"), std::string("private_key=") + kPrivate}) {
    EXPECT_EQ(errno_of(peer + line + "\n"), EINVAL) << line;
  }
}

TEST(UapiSet, ErrorsNeverShowAKey) {
  const auto set = parse_uapi_set("private_key=" + kPrivate + "0\n");
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().message.find(kPrivate.substr(0, 8)), std::string::npos);
}

UapiPeerStatus sample_peer() {
  UapiPeerStatus peer;
  peer.public_key = *base::PublicKey::parse_hex(kPeer1);
  EXPECT_TRUE(base::parse_hex(kPsk, peer.preshared_key.fill()));
  peer.endpoint = base::Endpoint::parse("182.122.22.19:3233");
  peer.last_handshake = {1'700'000'000'123'456'789};
  peer.rx_bytes = ~std::uint64_t{0};
  peer.tx_bytes = 38333;
  peer.persistent_keepalive_s = 111;
  peer.allowed_ips = {*base::Prefix::parse("192.168.4.6/32"), *base::Prefix::parse("::/0")};
  return peer;
}

TEST(UapiGet, WritesTheDocumentedText) {
  std::string out;
  crypto::PrivateKey key;
  ASSERT_TRUE(base::parse_hex(kPrivate, key.fill()));
  write_uapi_interface(out, key, 12912, 7);
  write_uapi_peer(out, sample_peer());
  write_uapi_end(out, 0);
  EXPECT_EQ(out, "private_key=" + kPrivate + "\nlisten_port=12912\nfwmark=7\npublic_key=" + kPeer1 +
                     "\npreshared_key=" + kPsk +
                     "\nprotocol_version=1\nendpoint=182.122.22.19:3233\n"
                     "last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=123456789\n"
                     "tx_bytes=38333\nrx_bytes=18446744073709551615\n"
                     "persistent_keepalive_interval=111\nallowed_ip=192.168.4.6/32\n"
                     "allowed_ip=::/0\nerrno=0\n\n");
}

TEST(UapiGet, RoundTripsAndRefusesEveryTruncation) {
  std::string out;
  crypto::PrivateKey key;
  ASSERT_TRUE(base::parse_hex(kPrivate, key.fill()));
  write_uapi_interface(out, key, 12912, 7);
  write_uapi_peer(out, sample_peer());
  write_uapi_end(out, 0);
  const auto status = parse_uapi_status(out);
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->private_key.equals(key));
  EXPECT_EQ(status->listen_port, 12912);
  EXPECT_EQ(status->fwmark, 7U);
  ASSERT_EQ(status->peers.size(), 1U);
  const UapiPeerStatus expected = sample_peer();
  const UapiPeerStatus& peer = status->peers[0];
  EXPECT_EQ(peer.endpoint, expected.endpoint);
  EXPECT_EQ(peer.last_handshake, expected.last_handshake);
  EXPECT_EQ(peer.rx_bytes, expected.rx_bytes);
  EXPECT_EQ(peer.allowed_ips, expected.allowed_ips);
  for (std::size_t size = 0; size < out.size(); ++size) {
    EXPECT_FALSE(parse_uapi_status(std::string_view(out).substr(0, size))) << size;
  }
}

TEST(UapiGet, ATimeGivenTwiceDoesNotAddUp) {
  const std::string peer = "public_key=" + kPeer1 + "\n";
  const std::string seconds = "last_handshake_time_sec=4294967295\n";
  const std::string nanoseconds = "last_handshake_time_nsec=999999999\n";
  const auto status = parse_uapi_status(peer + nanoseconds + seconds + seconds + seconds +
                                        nanoseconds + "errno=0\n\n");
  ASSERT_TRUE(status) << "three times the seconds would not fit into 63 bits";
  EXPECT_EQ(status->peers[0].last_handshake.ns, 4'294'967'295'999'999'999);
  EXPECT_FALSE(parse_uapi_status(peer + "last_handshake_time_nsec=1000000000\nerrno=0\n\n"));
}

TEST(UapiGet, LeavesOutWhatIsNotSet) {
  std::string out;
  write_uapi_interface(out, crypto::PrivateKey{}, 0, 0);
  write_uapi_end(out, EINVAL);
  EXPECT_EQ(out, "errno=-22\n\n") << "wg negates what it reads";
}

TEST(UapiResult, ReadsErrnoOfEitherSign) {
  EXPECT_TRUE(parse_uapi_result("errno=0\n\n"));
  for (const std::string_view text : {"errno=-98\n\n", "errno=98\n\n"}) {
    const auto status = parse_uapi_result(text);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().os_errno, EADDRINUSE);
  }
  for (const std::string_view text : {"", "errno=0", "errno=0\n", "errno=\n\n", "x=0\n\n",
                                      "errno=0\n\nmore", "errno=99999\n\n"}) {
    EXPECT_FALSE(parse_uapi_result(text)) << text;
  }
}

}  // namespace
}  // namespace warren::ipc
