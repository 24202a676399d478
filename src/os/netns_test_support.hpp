// For tests: named network namespaces of their own, in which tuns can be made.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "os/netns.hpp"

namespace warren::os {

class NetnsTest : public testing::Test {
 protected:
  ~NetnsTest() override {
    for (const std::string& name : names_) static_cast<void>(delete_named_netns(name));
  }
  [[nodiscard]] static std::string netns_name(const std::string& suffix) {
    return "wt" + std::to_string(getpid()) + "-" + suffix;
  }
  /// Skips the test where that is not permitted: look at IsSkipped().
  void make_netns(const std::string& suffix, Fd& out) {
    if (access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/net/tun is not usable";
    auto made = create_named_netns(netns_name(suffix));
    if (!made && made.error().kind == base::ErrorKind::NotPermitted)
      GTEST_SKIP() << "needs CAP_SYS_ADMIN: " << made.error().message;
    ASSERT_TRUE(made) << made.error().message;
    names_.push_back(netns_name(suffix));
    out = std::move(*made);
  }
  static void inside(const Fd& netns, const std::function<void()>& fn) {
    const auto status = in_netns(netns, [&]() -> base::Status {
      fn();
      return {};
    });
    ASSERT_TRUE(status) << status.error().message;
  }

 private:
  std::vector<std::string> names_;
};

}  // namespace warren::os
