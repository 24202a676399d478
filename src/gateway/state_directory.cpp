#include "gateway/state_directory.hpp"

#include <array>
#include <filesystem>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"
#include "os/file.hpp"

namespace warren::gateway {

using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::size_t kInstanceBytes = 6;
constexpr std::size_t kSmallFile = std::size_t{64} << 10;
constexpr mode_t kSecretMode = 0600;

}  // namespace

base::Result<StateDirectory> StateDirectory::open(const std::string& path) {
  std::error_code error;
  const bool absent = !std::filesystem::exists(path, error) && !error;
  WARREN_TRY(os::make_directories(path, 0700));
  WARREN_TRY_ASSIGN(StateDirectory state, open_existing(path));
  // Another daemon may have made and left it in the meantime.
  state.made_ = absent && !std::filesystem::exists(path + "/instance", error) && !error;
  return state;
}

void StateDirectory::Remove::operator()(std::string* path) const {
  const std::unique_ptr<std::string> owned(path);
  std::error_code error;
  std::filesystem::remove_all(*owned, error);
}

void StateDirectory::discard_if_made() {
  if (made_) discarded_.reset(std::make_unique<std::string>(path_).release());
}

base::Result<StateDirectory> StateDirectory::open_existing(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error))
    return make_error(ErrorKind::NotFound, "there is no state directory " + path,
                      "name the right one with --state-dir");
  auto lock = os::lock_file(path + "/lock");
  if (!lock) return std::move(lock).error().within("use the state in " + path);
  return StateDirectory(path, std::move(*lock));
}

base::Result<std::string> StateDirectory::instance(base::RandomSource& random) const {
  WARREN_TRY_ASSIGN(auto existing, existing_instance());
  if (existing) return std::move(*existing);
  std::array<std::uint8_t, kInstanceBytes> raw{};
  random.fill(raw);
  std::string fresh = base::to_hex(raw);
  WARREN_TRY(os::write_file_atomically(path_ + "/instance", fresh + "\n", kSecretMode));
  return fresh;
}

base::Result<std::optional<std::string>> StateDirectory::existing_instance() const {
  const std::string path = path_ + "/instance";
  auto text = os::read_file(path, kSmallFile);
  if (!text && text.error().kind == ErrorKind::NotFound) return std::optional<std::string>();
  if (!text) return std::move(text).error();
  if (text->ends_with('\n')) text->pop_back();
  std::array<std::uint8_t, kInstanceBytes> raw{};
  if (!base::parse_hex(*text, raw))
    return make_error(ErrorKind::Invalid, path + " holds no instance id",
                      "restore it from a backup: without it the host's objects are strangers");
  return std::optional(base::to_hex(raw));
}

base::Result<pki::Identity> StateDirectory::identity() const {
  const std::string path = path_ + "/identity.key";
  auto text = os::read_file(path, kSmallFile);
  if (text) return pki::load_identity(std::move(*text)).within("read " + path);
  if (text.error().kind != ErrorKind::NotFound) return std::move(text).error();
  WARREN_TRY_ASSIGN(pki::Identity fresh, pki::create_identity());
  WARREN_TRY(os::write_file_atomically(path, fresh.private_key_pem, kSecretMode));
  return fresh;
}

}  // namespace warren::gateway
