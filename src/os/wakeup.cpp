#include "os/wakeup.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <tuple>

namespace warren::os {

base::Result<Wakeup> Wakeup::create() {
  Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return base::os_error("create an event descriptor");
  return Wakeup(std::move(event));
}

void Wakeup::signal() const {
  constexpr std::uint64_t kOne = 1;
  // Fails only when 2^64 - 1 signals wait, and then it is readable.
  std::ignore = ::write(event_.get(), &kOne, sizeof kOne);
}

void Wakeup::clear() const {
  std::uint64_t count = 0;
  std::ignore = ::read(event_.get(), &count, sizeof count);
}

}  // namespace warren::os
