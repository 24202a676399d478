// Every implementation of seal and open that runs here, against OpenSSL one message at a time.
//
//   u8 count   packets, 1..kMaxPackets; then for each:
//   u8 key     one of four
//   u16 size   of its text, little-endian, below kMaxSize
//   u8 shift   where the text starts in its memory, below 64
//   u8 damage  0: none; else which byte of text and tag is inverted before opening
//
// The rest fills the texts, over and over.
#include <algorithm>
#include <array>
#include <vector>

#include "base/assert.hpp"
#include "crypto/crypto.hpp"

namespace {

namespace base = warren::base;
namespace crypto = warren::crypto;

constexpr std::size_t kMaxPackets = 80;
constexpr std::size_t kMaxSize = 2048;
constexpr std::size_t kSlack = 64;

struct Packet {
  std::uint8_t key;
  std::size_t size;
  std::size_t shift;
  std::uint8_t damage;
  std::vector<std::uint8_t> plain;
};

std::vector<Packet> read_packets(base::ByteReader& in) {
  std::vector<Packet> packets(1 + in.u8() % kMaxPackets);
  for (Packet& packet : packets) {
    packet.key = in.u8() % 4;
    packet.size = in.u16_le() % kMaxSize;
    packet.shift = in.u8() % kSlack;
    packet.damage = in.u8();
  }
  const base::Bytes filling = in.rest();
  std::size_t at = 0;
  for (Packet& packet : packets) {
    packet.plain.resize(packet.size);
    if (filling.empty()) continue;
    for (std::uint8_t& byte : packet.plain) byte = filling[at++ % filling.size()];
  }
  return packets;
}

std::vector<crypto::Aead> make_keys() {
  std::vector<crypto::Aead> keys;
  for (std::uint8_t i = 0; i < 4; ++i) {
    crypto::AeadKey key;
    std::ranges::fill(key.fill(), static_cast<std::uint8_t>(0x41 + 17 * i));
    keys.emplace_back(key);
  }
  return keys;
}

void check(const std::vector<Packet>& packets) {
  static const std::vector<crypto::Aead> keys = make_keys();
  std::vector<std::vector<std::uint8_t>> memory(packets.size());
  std::vector<crypto::AeadJob> jobs(packets.size());
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const Packet& packet = packets[i];
    memory[i].resize(packet.shift + packet.size + crypto::kTagSize);
    std::ranges::copy(packet.plain, memory[i].data() + packet.shift);
    jobs[i] = {.key = &keys[packet.key],
               .counter = i,
               .text = base::MutableBytes(memory[i]).subspan(packet.shift, packet.size),
               .tag = memory[i].data() + packet.shift + packet.size};
  }
  crypto::seal(jobs);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    std::vector<std::uint8_t> sealed(packets[i].size + crypto::kTagSize);
    crypto::aead_seal(jobs[i].key->key(), i, {}, packets[i].plain, sealed);
    std::uint8_t* mine = jobs[i].text.data();
    WARREN_ASSERT(std::equal(sealed.begin(), sealed.end(), mine));
    if (packets[i].damage != 0) mine[packets[i].damage % sealed.size()] ^= packets[i].damage;
  }
  crypto::open(jobs);
  for (std::size_t i = 0; i < packets.size(); ++i) {
    WARREN_ASSERT(jobs[i].authentic == (packets[i].damage == 0));
    WARREN_ASSERT(!jobs[i].authentic || std::ranges::equal(jobs[i].text, packets[i].plain));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::ByteReader in({data, size});
  const std::vector<Packet> packets = read_packets(in);
  for (const std::string_view name : crypto::aead_implementations()) {
    WARREN_ASSERT(crypto::use_aead(name));
    check(packets);
  }
  return 0;
}
