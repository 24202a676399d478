// Bundles: what a program that cannot join with a token is configured with
// (docs/formats/bundles.md). Pure: values in, bytes out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/key.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "client/zip_archive.hpp"
#include "model/environment.hpp"
#include "model/wg_conf.hpp"

namespace warren::client {

enum class BundleFormat : std::uint8_t { Wg, Qr, QrPng, Env, Zip, CloudInit };
/// "wg", "qr", "env", "zip", "cloud-init"; QrPng is chosen by the name of a file.
[[nodiscard]] std::optional<BundleFormat> parse_bundle_format(std::string_view text);
/// What the bundle's file is called: "lab.conf", "lab.env", "user-data" …
[[nodiscard]] std::string bundle_file_name(BundleFormat format, std::string_view network);

enum class KeyPlace : std::uint8_t {
  Included,  ///< conf.interface.private_key is the member's
  Member,    ///< the member holds it, or will make it: a line in the conf says so
};

struct Bundle {
  std::string network;
  std::string peer;
  model::WgConf conf;
  KeyPlace key = KeyPlace::Member;
  std::optional<base::PublicKey> public_key;  ///< the member's, where it is known
  /// What programs are told of the network's services.
  std::vector<model::Variable> environment;
  std::string token;               ///< with cloud-init: the machine joins by itself
  std::vector<ZipEntry> programs;  ///< put into a zip beside the start script
  base::WallTime now;
};

/// Invalid where the format makes no sense without the private key (qr; cloud-init without a
/// token). The result holds the secrets of this peer and of nobody else: wipe it after use.
[[nodiscard]] base::Result<std::string> write_bundle(const Bundle& bundle, BundleFormat format);

}  // namespace warren::client
