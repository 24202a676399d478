// A whole conversation, byte for byte, against a second implementation: the expected messages were
// computed from the whitepaper's formulas with CPython's hashlib and hmac and python3-cryptography.
//
// Static keys are 32 bytes of 0x11 (initiator) and 0x22, ephemeral ones of 0x33 and 0x44 (all
// clamped), the pre-shared key 32 bytes of 0x55; indices 0x11223344 and 0x55667788.
#include <gtest/gtest.h>

#include <vector>

#include "wg/cookie.hpp"
#include "wg/handshake.hpp"
#include "wg/session.hpp"

namespace warren::wg {
namespace {

constexpr std::string_view kInitiationHex =
    "01000000443322117b0d47d93427f8311160781c7c733fd89f88970aef490d8a"
    "a0ee19a4cb8a1b1481e498317da959fba46669572516a5e6c021bfa620bb6c56"
    "ca0082e1feae14988c2c64d024c617734a263f76a008df04d0f94bad8ee75ec8"
    "e1c26955d72d5dc0a3c87d5e6db7cf66723bf09ddcb6b5a3cbd335a6a64e2606"
    "ed6f563300000000000000000000000000000000";
constexpr std::string_view kResponseHex =
    "020000008877665544332211ff2ee45601ec1b67310c7790404585ae697331ee"
    "e1c1f8cf2419731c1fff3e6b198e29bc3985289f6641bb77a0f6d7d5c8d2f315"
    "f9a191de7a0b04b3b8ea309700000000000000000000000000000000";
constexpr std::string_view kTransportHex =
    "04000000887766550000000000000000653e24fb6d0d9facde36633877112b4d"
    "1bde549639a215f51330f6e3f1ee4539";

/// Gives the same byte for ever: the "random" ephemeral key of this conversation.
class OneByte final : public base::RandomSource {
 public:
  explicit OneByte(std::uint8_t byte) : byte_(byte) {}
  void fill(base::MutableBytes out) override { std::fill(out.begin(), out.end(), byte_); }

 private:
  std::uint8_t byte_;
};

Identity identity(std::uint8_t byte) {
  OneByte source(byte);
  return Identity(crypto::generate_private_key(source));
}

template <std::size_t Size, typename Message>
std::string finished(const Message& message,
                     void (*write)(const Message&, std::span<std::uint8_t, Size>),
                     const base::PublicKey& to) {
  std::vector<std::uint8_t> bytes(Size);
  write(message, std::span<std::uint8_t, Size>(bytes));
  CookieGenerator(to, std::chrono::seconds(120)).add_macs(bytes, {});
  return base::to_hex(bytes);
}

TEST(Vector, AConversationMatchesASecondImplementation) {
  const Identity initiator = identity(0x11);
  const Identity responder = identity(0x22);
  crypto::PresharedKey psk;
  OneByte(0x55).fill(psk.fill());
  crypto::SharedSecret shared;
  ASSERT_TRUE(crypto::x25519(initiator.private_key, responder.public_key, shared));
  const Remote to_responder{responder.public_key, shared, psk};
  const Remote to_initiator{initiator.public_key, shared, psk};
  const Timestamp stamp = {0x40, 0, 0, 0, 0x65, 0x53, 0xf1, 0x0a, 0, 0, 0, 0};

  OneByte initiators(0x33);
  InitiatorState waiting;
  Initiation initiation;
  ASSERT_TRUE(create_initiation(initiator, to_responder, stamp, 0x11223344, initiators, waiting,
                                initiation));
  EXPECT_EQ(finished(initiation, &write_initiation, responder.public_key), kInitiationHex);

  ResponderState reading;
  ASSERT_EQ(read_initiator(responder, initiation, reading), initiator.public_key);
  ASSERT_EQ(read_timestamp(to_initiator, initiation, reading), stamp);
  OneByte responders(0x44);
  Response response;
  const auto theirs = create_response(to_initiator, 0x55667788, responders, reading, response);
  ASSERT_TRUE(theirs);
  EXPECT_EQ(finished(response, &write_response, initiator.public_key), kResponseHex);

  const auto ours = consume_response(initiator, to_responder, response, waiting);
  ASSERT_TRUE(ours);
  Session session(*ours, 0x11223344, 0x55667788, Role::Initiator, {});
  wire::PacketPool pool(64, 1);
  wire::Packet packet = pool.copy_of(base::as_bytes("inner packet"));
  session.seal(packet, padding_of(packet.size(), 1420));
  EXPECT_EQ(base::to_hex(packet.bytes()), kTransportHex);
}

}  // namespace
}  // namespace warren::wg
