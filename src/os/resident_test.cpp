#include "os/resident.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace warren::os {
namespace {

constexpr std::size_t kPage = 4096;

/// Read-only data of this program, several pages of it.
constexpr std::array<std::uint8_t, 64 * kPage> kData = [] {
  std::array<std::uint8_t, 64 * kPage> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i % 251);
  return bytes;
}();
int written = 1;

std::size_t touched_sum() {
  std::size_t sum = 0;
  const volatile std::uint8_t* bytes = kData.data();
  for (std::size_t i = 0; i < kData.size(); ++i) sum += bytes[i];
  return sum;
}

/// What this process has in memory, in pages.
long resident_pages() {
  FILE* file = fopen("/proc/self/statm", "re");
  long size = 0;
  long resident = 0;
  const int read = fscanf(file, "%ld %ld", &size, &resident);
  fclose(file);
  return read == 2 ? resident : -1;
}

TEST(Resident, GivesBackReadOnlyPagesAndKeepsWhatWasWritten) {
  const std::size_t before_sum = touched_sum();
  std::vector<std::string> kept(1000, std::string(100, 'x'));
  written = 2;
  const long before = resident_pages();
  release_memory();
  const long after = resident_pages();
  EXPECT_LE(after + 64, before) << "at least the table must have left";
  EXPECT_EQ(touched_sum(), before_sum);
  EXPECT_EQ(written, 2);
  EXPECT_EQ(kept.back(), std::string(100, 'x'));
}

}  // namespace
}  // namespace warren::os
