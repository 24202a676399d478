#include "backup/backup_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace warren::backup {
namespace {

using ::testing::HasSubstr;

class SeededRandom final : public base::RandomSource {
 public:
  void fill(base::MutableBytes out) override {
    std::ranges::generate(out, [this] { return static_cast<std::uint8_t>(engine_() >> 8); });
  }

 private:
  std::mt19937 engine_{7};
};

constexpr Effort kQuick{.log2_n = 10};

Contents some(std::size_t size = 300) {
  Contents out{.made = {1'750'000'000'000'000'000}, .program = "warren 1", .files = {}};
  out.files.push_back({.name = "identity.key", .content = "secret"});
  out.files.push_back({.name = "settings/conf.d/a.yaml", .content = ""});
  std::string large(size, 'x');
  for (std::size_t i = 0; i < size; ++i) large[i] = static_cast<char>(i * 7 + i / 251);
  out.files.push_back({.name = "warren.db", .content = std::move(large)});
  return out;
}

base::Result<Contents> read_text(const std::string& file,
                                 const std::optional<std::string>& passphrase = std::nullopt) {
  return read(base::as_bytes(file), passphrase);
}

TEST(Backup, IsReadAsItWasWritten) {
  SeededRandom random;
  // Sizes about the ends of chunks, and files whose last chunk is full.
  for (const std::size_t size : {0UL, 300UL, 65'400UL, 65'415UL, 65'436UL, 65'437UL, 200'000UL}) {
    const Contents contents = some(size);
    const auto plain = read_text(write_plain(contents));
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_TRUE(*plain == contents);
    const auto sealed = write_sealed(contents, "a long passphrase", random, kQuick);
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->find("secret"), std::string::npos);
    const auto opened = read_text(*sealed, "a long passphrase");
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_TRUE(*opened == contents);
  }
}

TEST(Backup, TwoOfTheSameAreDifferentFiles) {
  SeededRandom random;
  EXPECT_NE(*write_sealed(some(), "p", random, kQuick), *write_sealed(some(), "p", random, kQuick));
}

TEST(Backup, AWrongMissingOrNeedlessPassphraseIsToldApart) {
  SeededRandom random;
  const std::string sealed = *write_sealed(some(), "right", random, kQuick);
  EXPECT_THAT(read_text(sealed, "wrong").error().message, HasSubstr("passphrase is wrong"));
  EXPECT_THAT(read_text(sealed).error().hint, HasSubstr("--passphrase-file"));
  EXPECT_THAT(read_text(write_plain(some()), "right").error().message, HasSubstr("not sealed"));
}

TEST(Backup, CutOffAnywhereItIsRefused) {
  SeededRandom random;
  const std::string plain = write_plain(some());
  for (std::size_t size = 0; size < plain.size(); ++size) {
    ASSERT_FALSE(read_text(plain.substr(0, size))) << size;
  }
  // At the ends of chunks a cut leaves whole chunks.
  const std::string sealed = *write_sealed(some(140'000), "p", random, kQuick);
  for (const std::size_t size : {0UL, 8UL, 55UL, 56UL, 60UL, 72UL, 56UL + 65'552UL,
                                 56UL + 2 * 65'552UL, sealed.size() - 1, sealed.size() - 16}) {
    ASSERT_FALSE(read_text(sealed.substr(0, size), "p")) << size;
  }
  ASSERT_FALSE(read_text(sealed + "x", "p"));
  ASSERT_FALSE(read_text(plain + "x"));
}

TEST(Backup, AFlippedBitAnywhereIsRefused) {
  SeededRandom random;
  const std::string plain = write_plain(some());
  const std::string sealed = *write_sealed(some(), "p", random, kQuick);
  for (std::size_t at = 0; at < plain.size(); ++at) {
    std::string changed = plain;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    ASSERT_FALSE(read_text(changed)) << at;
  }
  for (std::size_t at = 0; at < sealed.size(); at += at < kHeaderSize ? 1 : 13) {
    std::string changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    ASSERT_FALSE(read_text(changed, "p")) << at;
  }
}

TEST(Backup, ChunksCannotChangePlacesOrBeLeftOut) {
  SeededRandom random;
  const std::string sealed = *write_sealed(some(200'000), "p", random, kQuick);
  constexpr std::size_t kChunk = 65'536 + 16;
  const std::string head = sealed.substr(0, kHeaderSize);
  const std::string first = sealed.substr(kHeaderSize, kChunk);
  const std::string second = sealed.substr(kHeaderSize + kChunk, kChunk);
  const std::string rest = sealed.substr(kHeaderSize + 2 * kChunk);
  ASSERT_TRUE(read_text(head + first + second + rest, "p"));
  EXPECT_FALSE(read_text(head + second + first + rest, "p"));
  EXPECT_FALSE(read_text(head + first + rest, "p"));
  EXPECT_FALSE(read_text(head + first + second, "p"));
}

TEST(Header, OfAnotherVersionIsToldSo) {
  std::string plain = write_plain(some());
  plain[8] = 2;
  const auto newer = read_text(plain);
  EXPECT_EQ(newer.error().kind, base::ErrorKind::Conflict);
  EXPECT_THAT(newer.error().message, HasSubstr("version 2"));
  EXPECT_THAT(read_text("PK\x03\x04 something else entirely").error().message,
              HasSubstr("no backup"));
}

TEST(Header, CannotAskForMemoryWithoutEnd) {
  Header header{.protection = Protection::Passphrase,
                .log2_n = 17,
                .r = 8,
                .p = 1,
                .chunk_size = 65'536,
                .salt = {}};
  EXPECT_TRUE(read_header(write_header(header)));
  header.log2_n = 40;
  EXPECT_FALSE(read_header(write_header(header)));
  header.log2_n = 17;
  header.chunk_size = 0xffffffff;
  EXPECT_FALSE(read_header(write_header(header)));
}

TEST(Names, StayInsideTheirDirectory) {
  for (const char* good : {"a", "warren.db", "settings/conf.d/a-b.yaml", "..a", "a..b"}) {
    EXPECT_TRUE(is_good_name(good)) << good;
  }
  for (const char* bad : {"", "/a", "a/", "a//b", "..", "../a", "a/../b", ".", "a b", "a\nb"}) {
    EXPECT_FALSE(is_good_name(bad)) << bad;
  }
  EXPECT_FALSE(is_good_name(std::string(201, 'a')));
}

}  // namespace
}  // namespace warren::backup
