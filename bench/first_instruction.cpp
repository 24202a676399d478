// Prints the time of its first instruction (CLOCK_BOOTTIME, nanoseconds) and ends: what the start
// of a run is measured with. Linked statically, so that no loader stands between.
#include <cstdio>
#include <ctime>

int main() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  std::printf("%lld\n", static_cast<long long>(now.tv_sec) * 1'000'000'000 +
                            static_cast<long long>(now.tv_nsec));
  return 0;
}
