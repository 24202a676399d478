// Conf files: what is taken is written as a file that means the same, and an error never quotes a
// line that could hold a secret.
#include <string>
#include <string_view>

#include "base/assert.hpp"
#include "model/wg_conf.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using warren::model::WgConf;
  const auto conf = WgConf::parse({reinterpret_cast<const char*>(data), size}, "x.conf");
  if (!conf) {
    WARREN_ASSERT(conf.error().kind == warren::base::ErrorKind::Invalid);
    WARREN_ASSERT(conf.error().message.starts_with("x.conf:"));
    return 0;
  }
  const std::string text = conf->write();
  const auto again = WgConf::parse(text, "x.conf");
  WARREN_ASSERT(again.has_value());
  WARREN_ASSERT(again->peers.size() == conf->peers.size());
  WARREN_ASSERT(again->interface.addresses == conf->interface.addresses);
  WARREN_ASSERT(again->interface.hooks.size() == conf->interface.hooks.size());
  WARREN_ASSERT(again->write() == text);
  return 0;
}
