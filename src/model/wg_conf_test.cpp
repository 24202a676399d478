#include "model/wg_conf.hpp"

#include <gtest/gtest.h>

namespace warren::model {
namespace {

const std::string kPrivate = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const std::string kPublic = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
const std::string kOther = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";

std::string with(const std::string& interface_lines, const std::string& peer_lines = "") {
  return "[Interface]\nPrivateKey = " + kPrivate + "\n" + interface_lines +
         "[Peer]\nPublicKey = " + kPublic + "\n" + peer_lines;
}

base::Error error_of(const std::string& text) {
  auto parsed = WgConf::parse(text, "a.conf");
  EXPECT_FALSE(parsed) << text;
  return parsed ? base::Error{} : parsed.error();
}

TEST(WgConf, ReadsEveryKeyOfAStockFile) {
  const auto conf = WgConf::parse(
      with("Address = 10.0.0.2/24, fd00::2/64 # two\naddress=10.1.0.2\nLISTENPORT = 51821\n"
           "FwMark = 0xca6c\nDNS = 10.0.0.1, fd00::1, corp.example\nMTU = 1380\nTable = off\n"
           "SaveConfig = true\nPostUp = ip rule add ipproto tcp dport 22 table main\r\n"
           "PreDown = touch /x = y\n",
           "PresharedKey = " + kOther +
               "\nAllowedIPs = 10.0.0.7/24,\t::/0\nallowedips = 192.0.2.0/24\n"
               "Endpoint = vpn.example.org:51820\nPersistentKeepalive = 25\n"),
      "a.conf");
  ASSERT_TRUE(conf) << conf.error().message;
  const ConfInterface& interface = conf->interface;
  EXPECT_EQ(base::to_base64(interface.private_key.view()), kPrivate);
  ASSERT_EQ(interface.addresses.size(), 3U);
  EXPECT_EQ(interface.addresses[0].to_string(), "10.0.0.2/24");
  EXPECT_EQ(interface.addresses[2].to_string(), "10.1.0.2/32");
  EXPECT_EQ(interface.listen_port, 51821);
  EXPECT_EQ(interface.fwmark, 0xca6cU);
  ASSERT_EQ(interface.dns_servers.size(), 2U);
  EXPECT_EQ(interface.dns_search, std::vector<std::string>{"corp.example"});
  EXPECT_EQ(interface.mtu, 1380U);
  EXPECT_EQ(interface.table, "off");
  EXPECT_TRUE(interface.save_config);
  ASSERT_EQ(interface.hooks.size(), 2U);
  EXPECT_EQ(interface.hooks[0].command, "ip rule add ipproto tcp dport 22 table main");
  EXPECT_EQ(interface.hooks[1].key, "PreDown");
  EXPECT_EQ(interface.hooks[1].command, "touch /x = y");
  ASSERT_EQ(conf->peers.size(), 1U);
  const ConfPeer& peer = conf->peers[0];
  EXPECT_EQ(peer.public_key.base64(), kPublic);
  ASSERT_TRUE(peer.preshared_key);
  ASSERT_EQ(peer.allowed_ips.size(), 3U);
  EXPECT_EQ(peer.allowed_ips[0].to_string(), "10.0.0.0/24");
  EXPECT_EQ(peer.allowed_ips[1].to_string(), "::/0");
  EXPECT_EQ(peer.endpoint->host, "vpn.example.org");
  EXPECT_EQ(peer.persistent_keepalive_s, 25);
}

TEST(WgConf, WritesWhatItReads) {
  const auto conf = WgConf::parse(
      with("Address = 10.0.0.2/24\nDNS = 10.0.0.1, a.example\nFwMark = 7\nMTU = 1400\n"
           "PostUp = one\nPostUp = two\n",
           "Endpoint = [2001:db8::1]:7\nAllowedIPs = ::/0\nPersistentKeepalive = off\n"),
      "a.conf");
  ASSERT_TRUE(conf);
  const std::string text = conf->write();
  const auto again = WgConf::parse(text, "b.conf");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->write(), text);
  EXPECT_NE(text.find("Endpoint = [2001:db8::1]:7\n"), std::string::npos);
  EXPECT_NE(text.find("PersistentKeepalive = off\n"), std::string::npos);
  EXPECT_NE(text.find("PostUp = one\nPostUp = two\n"), std::string::npos);
}

TEST(WgConf, AcceptsByteOrderMarkCrlfAndNoFinalNewline) {
  const auto conf = WgConf::parse(
      "\xef\xbb\xbf[interface]\r\n\tprivatekey=" + kPrivate + "\r\n[PEER]\r\nPublicKey=" + kPublic,
      "a.conf");
  ASSERT_TRUE(conf) << conf.error().message;
  EXPECT_EQ(conf->peers.size(), 1U);
}

TEST(WgConf, NamesFileAndLine) {
  EXPECT_EQ(error_of(with("ListenPort = 70000\n")).message,
            "a.conf:3: ListenPort is a number from 0 to 65535");
  EXPECT_EQ(error_of(with("Adress = 10.0.0.1/24\n")).message,
            "a.conf:3: unknown key `Adress` in [Interface]");
  EXPECT_EQ(error_of(with("Adress = 10.0.0.1/24\n")).hint, "did you mean Address?");
  EXPECT_EQ(error_of(with("Endpoint = a:1\n")).hint, "Endpoint belongs into [Peer]");
  EXPECT_EQ(error_of(with("Jc = 4\n")).hint, "");
  EXPECT_EQ(error_of("MTU = 1400\n" + with("")).message,
            "a.conf:1: `MTU` stands before any section");
  EXPECT_EQ(error_of(with("", "Endpoint = 192.0.2.1\n")).message,
            "a.conf:5: Endpoint `192.0.2.1` is not HOST:PORT");
  EXPECT_EQ(error_of(with("PrivateKey = " + kOther + "\n")).message,
            "a.conf:3: PrivateKey is given twice (first on line 2)");
  EXPECT_EQ(error_of("[Interface]\nMTU = 1400\n").message,
            "a.conf:1: [Interface] has no PrivateKey");
  EXPECT_EQ(error_of(with("") + "[Peer]\nEndpoint = a:1\n").message,
            "a.conf:5: [Peer] has no PublicKey");
  EXPECT_EQ(error_of(with("") + "[Peer]\nPublicKey = " + kPublic + "\n").message,
            "a.conf:6: this PublicKey has a [Peer] section already (line 4)");
  EXPECT_EQ(error_of("").message, "a.conf:1: there is no [Interface] section");
  EXPECT_EQ(error_of(with("[Wifi]\n")).message, "a.conf:3: unknown section `[Wifi]`");
  EXPECT_EQ(error_of(with("nonsense\n")).message,
            "a.conf:3: expected `Key = value` or a [Section] header");
}

TEST(WgConf, NeverQuotesAKey) {
  const std::string broken = kPrivate.substr(0, 43);
  const auto error = error_of("[Interface]\nPrivateKey = " + broken + "\n");
  EXPECT_EQ(error.message, "a.conf:2: PrivateKey is not a WireGuard key");
  EXPECT_EQ(error.hint.find(broken), std::string::npos);
}

TEST(WgConf, RefusesMalformedValues) {
  for (const std::string line : {"Address = 10.0.0.300\n", "Address = 10.0.0.1/33\n",
                                 "FwMark = 0x\n", "FwMark = 0x1ffffffff\n", "DNS = a b\n",
                                 "MTU = 12\n", "Table = maybe\n", "SaveConfig = 1\n"}) {
    EXPECT_TRUE(error_of(with(line)).message.starts_with("a.conf:3: ")) << line;
  }
  for (const std::string line : {"AllowedIPs = x\n", "Endpoint = :1\n", "Endpoint = a:0\n",
                                 "PersistentKeepalive = -1\n", "PresharedKey = x\n"}) {
    EXPECT_TRUE(error_of(with("", line)).message.starts_with("a.conf:5: ")) << line;
  }
}

TEST(WgConf, SurvivesTruncationAtEveryByte) {
  const std::string whole = with("Address = 10.0.0.2/24\nDNS = 10.0.0.1\nPostUp = x\n",
                                 "AllowedIPs = 0.0.0.0/0\nEndpoint = a.example:1\n");
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const auto conf = WgConf::parse(whole.substr(0, size), "a.conf");
    EXPECT_TRUE(conf || conf.error().message.starts_with("a.conf:")) << size;
  }
}

TEST(ConfKey, MovesAndLeavesZeros) {
  auto key = ConfKey::parse_base64(kPrivate);
  ASSERT_TRUE(key);
  const ConfKey taken = std::move(*key);
  EXPECT_EQ(base::to_base64(taken.view()), kPrivate);
  EXPECT_EQ(base::to_hex(key->view()), std::string(64, '0'));
  std::string text = "secret";
  wipe_text(text);
  EXPECT_TRUE(text.empty());
}

}  // namespace
}  // namespace warren::model
