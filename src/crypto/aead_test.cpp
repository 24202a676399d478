// Every implementation that runs here, against RFC 8439 and against OpenSSL packet by packet.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "crypto/crypto.hpp"

namespace warren::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;

Buffer hex(std::string_view text) {
  Buffer out(text.size() / 2);
  EXPECT_TRUE(base::parse_hex(text, out));
  return out;
}

/// The implementation under test, put back afterwards.
class AeadTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(use_aead(GetParam())); }
  void TearDown() override { ASSERT_TRUE(use_aead(before_)); }

 private:
  std::string before_{aead_implementation()};
};

std::vector<std::string> implementations() {
  return {aead_implementations().begin(), aead_implementations().end()};
}
INSTANTIATE_TEST_SUITE_P(Every, AeadTest, testing::ValuesIn(implementations()),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::erase_if(name, [](char c) { return std::isalnum(c) == 0; });
                           return name;
                         });

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t limit) { return engine_() % limit; }
  std::uint64_t word() { return engine_(); }
  void fill(base::MutableBytes out) {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(engine_());
  }
  /// Mostly the sizes where something begins or ends.
  std::size_t size() {
    switch (below(8)) {
      case 0:
        return below(65536);
      case 1:
      case 2:
        return 1300 + below(201);
      case 3:
        return below(20) * 64;
      default:
        return below(261);
    }
  }

 private:
  std::mt19937_64 engine_;
};

/// A batch with a plain text, and what OpenSSL makes of it, kept beside it.
struct Batch {
  std::vector<Aead> keys;
  std::vector<Buffer> memory;  // a text at an odd place, between guards, with its tag
  std::vector<Buffer> plain;
  std::vector<Buffer> sealed;  // with the tag
  std::vector<AeadJob> jobs;
};
constexpr std::size_t kGuard = 67;
constexpr std::uint8_t kGuardByte = 0xa5;

Batch make_batch(Dice& dice, std::size_t count, std::size_t key_count, bool equal_sizes) {
  Batch batch;
  for (std::size_t i = 0; i < key_count; ++i) {
    AeadKey key;
    dice.fill(key.fill());
    batch.keys.emplace_back(key);
  }
  batch.memory.resize(count);
  const std::size_t common_size = dice.size() % 4096;
  for (std::size_t i = 0; i < count; ++i) {
    Buffer plain(equal_sizes ? common_size : dice.size());
    dice.fill(plain);
    const Aead& key = batch.keys[dice.below(key_count)];
    const std::uint64_t counter = dice.below(2) == 0 ? dice.word() : i;
    Buffer sealed(plain.size() + kTagSize);
    aead_seal(key.key(), counter, {}, plain, sealed);
    const std::size_t shift = dice.below(64);
    Buffer& memory = batch.memory[i];
    memory.assign(shift + kGuard + plain.size() + kTagSize + kGuard, kGuardByte);
    const base::MutableBytes text =
        base::MutableBytes(memory).subspan(shift + kGuard, plain.size());
    std::ranges::copy(plain, text.begin());
    batch.jobs.push_back(
        {.key = &key, .counter = counter, .text = text, .tag = text.data() + plain.size()});
    batch.plain.push_back(std::move(plain));
    batch.sealed.push_back(std::move(sealed));
  }
  return batch;
}

void expect_guards(const Batch& batch) {
  for (std::size_t i = 0; i < batch.jobs.size(); ++i) {
    const Buffer& memory = batch.memory[i];
    const auto begin = static_cast<std::size_t>(batch.jobs[i].text.data() - memory.data());
    const std::size_t end = begin + batch.jobs[i].text.size() + kTagSize;
    for (std::size_t at = 0; at < memory.size(); ++at) {
      if (at >= begin && at < end) continue;
      ASSERT_EQ(memory[at], kGuardByte) << "job " << i << " at " << at << " of " << memory.size();
    }
  }
}

Buffer with_tag(const AeadJob& job) {
  Buffer out(job.text.begin(), job.text.end());
  out.insert(out.end(), job.tag, job.tag + kTagSize);
  return out;
}

void check_batch(Batch& batch, Dice& dice) {
  seal(batch.jobs);
  for (std::size_t i = 0; i < batch.jobs.size(); ++i) {
    ASSERT_EQ(with_tag(batch.jobs[i]), batch.sealed[i])
        << "job " << i << " of " << batch.jobs.size() << ", " << batch.plain[i].size() << " bytes";
  }
  ASSERT_NO_FATAL_FAILURE(expect_guards(batch));
  std::vector<bool> damaged(batch.jobs.size());
  for (std::size_t i = 0; i < batch.jobs.size(); ++i) {
    AeadJob& job = batch.jobs[i];
    job.authentic = dice.below(2) == 0;
    damaged[i] = dice.below(4) == 0;
    if (!damaged[i]) continue;
    std::uint8_t& byte = job.text.data()[dice.below(job.text.size() + kTagSize)];
    byte = static_cast<std::uint8_t>(byte ^ (1U << dice.below(8)));
  }
  open(batch.jobs);
  for (std::size_t i = 0; i < batch.jobs.size(); ++i) {
    const AeadJob& job = batch.jobs[i];
    ASSERT_EQ(job.authentic, !damaged[i]) << "job " << i << ", " << job.text.size() << " bytes";
    if (damaged[i]) continue;
    ASSERT_TRUE(std::ranges::equal(job.text, batch.plain[i])) << "job " << i;
  }
  ASSERT_NO_FATAL_FAILURE(expect_guards(batch));
}

// RFC 8439 section 2.8.2 has additional data, so its vectors are for the pieces: here the key
// stream of section 2.4.2 and appendix A.2, whose nonces begin with four zero bytes.
TEST_P(AeadTest, KeyStreamMatchesRfc8439) {
  const Buffer key_bytes = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  const Aead key{AeadKey(std::span<const std::uint8_t, 32>(key_bytes))};
  const std::string plain =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  Buffer text(plain.begin(), plain.end());
  Mac tag;
  // The nonce is 00 00 00 00 | 00 00 00 4a 00 00 00 00, and the text starts at block 1.
  AeadJob job{.key = &key, .counter = 0x4a000000, .text = text, .tag = tag.data()};
  seal({&job, 1});
  EXPECT_EQ(base::to_hex(text),
            "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"
            "f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8"
            "07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736"
            "5af90bbf74a35be6b40b8eedf2785e42874d");
}

TEST_P(AeadTest, MatchesOpenSslForEverySizeUpTo600) {
  Dice dice(1);
  AeadKey key_bytes;
  dice.fill(key_bytes.fill());
  const Aead key(key_bytes);
  for (std::size_t size = 0; size <= 600; ++size) {
    Buffer plain(size);
    dice.fill(plain);
    Buffer sealed(size + kTagSize);
    aead_seal(key.key(), size, {}, plain, sealed);
    Buffer memory = plain;
    memory.resize(size + kTagSize);
    AeadJob job{.key = &key,
                .counter = size,
                .text = base::MutableBytes(memory).first(size),
                .tag = memory.data() + size};
    seal({&job, 1});
    ASSERT_EQ(memory, sealed) << size;
    open({&job, 1});
    ASSERT_TRUE(job.authentic) << size;
    memory.resize(size);
    ASSERT_EQ(memory, plain) << size;
  }
}

TEST_P(AeadTest, RandomBatchesMatchOpenSsl) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    const std::size_t count = seed % 10 == 9 ? 65 + dice.below(100) : 1 + dice.below(kAeadBatch);
    const std::size_t keys = dice.below(2) == 0 ? 1 : 1 + dice.below(count);
    Batch batch = make_batch(dice, count, keys, dice.below(2) == 0);
    ASSERT_NO_FATAL_FAILURE(check_batch(batch, dice));
  }
}

// Small batches, and every number of packets around the widths of the vector units.
TEST_P(AeadTest, EveryBatchSizeMatchesOpenSsl) {
  for (std::size_t count = 0; count <= kAeadBatch + 2; ++count) {
    SCOPED_TRACE("batch of " + std::to_string(count));
    Dice dice(1000 + count);
    Batch equal = make_batch(dice, count, 1, true);
    ASSERT_NO_FATAL_FAILURE(check_batch(equal, dice));
    Batch mixed = make_batch(dice, std::min<std::size_t>(count, 24), 1 + count, false);
    ASSERT_NO_FATAL_FAILURE(check_batch(mixed, dice));
  }
}

// Poly1305's rare cases: accumulators near 2^130 - 5 come from texts of ones with every key.
TEST_P(AeadTest, ExtremeTextsMatchOpenSsl) {
  Dice dice(5);
  for (const std::uint8_t value : {std::uint8_t{0x00}, std::uint8_t{0xff}}) {
    Batch batch = make_batch(dice, kAeadBatch, kAeadBatch, false);
    for (std::size_t i = 0; i < batch.jobs.size(); ++i) {
      // The cipher text is all `value`: its plain text is the key stream or the inverse of it.
      AeadJob& job = batch.jobs[i];
      std::ranges::fill(batch.plain[i], std::uint8_t{0});
      aead_seal(job.key->key(), job.counter, {}, batch.plain[i], batch.sealed[i]);
      for (std::size_t at = 0; at < job.text.size(); ++at) {
        job.text[at] = static_cast<std::uint8_t>(batch.sealed[i][at] ^ value);
      }
      batch.plain[i].assign(job.text.begin(), job.text.end());
      aead_seal(job.key->key(), job.counter, {}, batch.plain[i], batch.sealed[i]);
    }
    ASSERT_NO_FATAL_FAILURE(check_batch(batch, dice));
  }
}

TEST_P(AeadTest, RefusesEveryFlippedBit) {
  Dice dice(6);
  Batch batch = make_batch(dice, 1, 1, true);
  AeadKey key_bytes;
  const Aead key(key_bytes);
  Buffer sealed(40 + kTagSize);
  aead_seal(key.key(), 7, {}, Buffer(40), sealed);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Buffer bytes = sealed;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1U << (bit % 8)));
    AeadJob job{.key = &key,
                .counter = 7,
                .text = base::MutableBytes(bytes).first(40),
                .tag = bytes.data() + 40,
                .authentic = true};
    open({&job, 1});
    ASSERT_FALSE(job.authentic) << bit;
  }
}

/// Memory that ends at a page that nothing may touch, and that begins behind one.
class Fenced {
 public:
  explicit Fenced(std::size_t size) : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    inner_ = (size + page_ - 1) / page_ * page_;
    void* memory = mmap(nullptr, inner_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    start_ = static_cast<std::uint8_t*>(memory);
    EXPECT_EQ(mprotect(start_ + page_, inner_, PROT_READ | PROT_WRITE), 0);
  }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;
  ~Fenced() { munmap(start_, inner_ + 2 * page_); }
  [[nodiscard]] base::MutableBytes last(std::size_t size) {
    return {start_ + page_ + inner_ - size, size};
  }
  [[nodiscard]] base::MutableBytes first(std::size_t size) { return {start_ + page_, size}; }

 private:
  std::size_t page_;
  std::size_t inner_ = 0;
  std::uint8_t* start_ = nullptr;
};

TEST_P(AeadTest, TouchesNothingBeforeOrBehindAText) {
  Dice dice(8);
  AeadKey key_bytes;
  dice.fill(key_bytes.fill());
  const Aead key(key_bytes);
  constexpr std::size_t kCount = 5;
  std::vector<std::unique_ptr<Fenced>> fences;
  for (std::size_t i = 0; i < kCount; ++i) fences.push_back(std::make_unique<Fenced>(2000));
  for (std::size_t size = 0; size <= 1500; size += size < 300 ? 1 : 37) {
    for (const std::size_t count : {std::size_t{1}, kCount}) {
      for (const bool at_end : {true, false}) {
        std::vector<Mac> tags(count);
        std::vector<AeadJob> jobs(count);
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t mine = size > 3 * i ? size - 3 * i : size;
          const base::MutableBytes text = at_end ? fences[i]->last(mine) : fences[i]->first(mine);
          std::ranges::fill(text, std::uint8_t{7});
          jobs[i] = {.key = &key, .counter = i, .text = text, .tag = tags[i].data()};
        }
        seal(jobs);
        open(jobs);
        for (const AeadJob& job : jobs) {
          ASSERT_TRUE(job.authentic);
          ASSERT_TRUE(std::ranges::all_of(job.text, [](std::uint8_t byte) { return byte == 7; }));
        }
      }
    }
  }
}

TEST_P(AeadTest, ThreadsDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([t] {
      for (std::uint64_t seed = 0; seed < 5; ++seed) {
        Dice dice(100 * t + seed);
        Batch batch = make_batch(dice, 20, 3, true);
        ASSERT_NO_FATAL_FAILURE(check_batch(batch, dice));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(AeadChoice, NamesWhatRunsHere) {
  const auto names = implementations();
  EXPECT_NE(std::ranges::find(names, "openssl"), names.end());
  EXPECT_NE(std::ranges::find(names, aead_implementation()), names.end());
  const std::string before{aead_implementation()};
  EXPECT_FALSE(use_aead("rot13"));
  EXPECT_EQ(aead_implementation(), before);
}

}  // namespace
}  // namespace warren::crypto
