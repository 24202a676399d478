// `peer export`: a bundle for a program that cannot join by itself.
//
// With --generate-keys the pair is made here, in this process: the daemon gets the public half, the
// private half goes into the bundle and nowhere else. A file is written before the key is handed to
// the daemon and removed again when that is refused, so that a key is never in force without its
// bundle; what goes to standard output is shown after.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "client/bundle.hpp"
#include "client/join.hpp"
#include "crypto/crypto.hpp"
#include "model/conf_key.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/process.hpp"

namespace warren::app {
namespace {

using client::BundleFormat;

constexpr const char* kWaits = "waits-for-key";
constexpr std::size_t kMaxProgramBytes = std::size_t{512} << 20;

struct ExportChoice {
  std::string name;
  std::string network;
  std::string format = "wg";
  std::string output;
  std::string all;  ///< the folder of --all
  std::string expires = "24h";
  bool generate_keys = false;
  bool with_program = false;
};

/// The text of a bundle: secret, so it wipes itself.
struct Content {
  std::string text;
  Content() = default;
  explicit Content(std::string from) : text(std::move(from)) {}
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;
  ~Content() { model::wipe_text(text); }
};

base::Result<std::vector<client::ZipEntry>> programs() {
  std::vector<client::ZipEntry> files;
  WARREN_TRY_ASSIGN(const std::string here, os::program_directory());
  for (const char* name : {"warren", "warren-engine"}) {
    WARREN_TRY_ASSIGN(std::string program, os::read_file(here + "/" + name, kMaxProgramBytes));
    files.push_back({name, std::move(program), 0700});
  }
  return files;
}

base::Result<BundleFormat> chosen_format(const ExportChoice& choice) {
  const auto format = client::parse_bundle_format(choice.format);
  if (!format) {
    return base::make_error(base::ErrorKind::Invalid, "there is no format '" + choice.format + "'",
                            "choose wg, qr, env, zip or cloud-init");
  }
  if (choice.with_program && *format != BundleFormat::Zip) {
    return base::make_error(base::ErrorKind::Invalid, "--with-program is for --format zip",
                            "see: warren peer export --help");
  }
  const bool to_image = choice.output.ends_with(".png") || !choice.all.empty();
  return *format == BundleFormat::Qr && to_image ? BundleFormat::QrPng : *format;
}

/// The key pair of the export; the bundle gets the private half.
base::Result<base::PublicKey> generate_key(const api::PeerView& peer, client::Bundle& bundle) {
  if (peer.state != kWaits) {
    return base::make_error(
        base::ErrorKind::Conflict,
        peer.public_key.empty()
            ? peer.name + " does not wait for a key: it is " + peer.state
            : peer.name + " has its key already, and its private half was never kept here",
        "revoke it and add it again: warren revoke " + peer.name + " && warren peer add " +
            peer.name);
  }
  os::SystemRandom random;
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  bundle.conf.interface.private_key = model::ConfKey(key.view());
  bundle.key = client::KeyPlace::Included;
  return crypto::public_key(key);
}

/// What the bundle of a peer is made of; with `generate_keys` its key is new and known to nobody.
base::Result<client::Bundle> make_bundle(const client::Daemon& daemon, const api::PeerView& peer,
                                         const ExportChoice& choice, BundleFormat format) {
  WARREN_TRY_ASSIGN(const api::EnrolAnswer answer, daemon.peer_profile(peer.network, peer.name));
  WARREN_TRY_ASSIGN(client::Profile profile, client::make_profile(answer, {}));
  client::Bundle bundle;
  bundle.network = profile.note.network;
  bundle.peer = profile.note.peer;
  bundle.conf = std::move(profile.conf);
  bundle.environment = std::move(profile.note.environment);
  bundle.now = os::wall_now();
  if (choice.with_program) {
    WARREN_TRY_ASSIGN(bundle.programs, programs());
  }
  if (choice.generate_keys) {
    WARREN_TRY_ASSIGN(bundle.public_key, generate_key(peer, bundle));
    return bundle;
  }
  bundle.public_key = base::PublicKey::parse_base64(peer.public_key);
  if (format == BundleFormat::CloudInit && peer.state == kWaits) {
    const auto expires = parse_duration_s(choice.expires);
    if (!expires) {
      return base::make_error(base::ErrorKind::Invalid,
                              "'" + choice.expires + "' is not a time span",
                              "write it as 90s, 15m, 24h or 7d");
    }
    WARREN_TRY_ASSIGN(
        const api::Invitation invitation,
        daemon.invite(peer.network, {.name = peer.name, .role = peer.role, .expires_s = *expires}));
    bundle.token = invitation.token;
  }
  return bundle;
}

base::Status check_new_file(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) return {};
  return base::make_error(base::ErrorKind::Conflict, path + " exists already",
                          "choose another file, or remove that one: it may hold a key");
}

/// Writes the file (if one was asked for), then hands the new key to the daemon.
base::Status put_in_force(const client::Daemon& daemon, const client::Bundle& bundle,
                          const std::string& path, const Content& content) {
  if (!path.empty()) {
    WARREN_TRY(check_new_file(path));
    WARREN_TRY(os::write_file_atomically(path, content.text, 0600));
  }
  if (bundle.key != client::KeyPlace::Included) return {};
  const auto set =
      daemon.set_peer_key(bundle.network, bundle.peer, {.public_key = bundle.public_key->base64()});
  if (set) return {};
  if (!path.empty()) ::unlink(path.c_str());
  return base::Error(set.error());
}

void show_document(const client::Bundle& bundle, const ExportChoice& choice,
                   const std::string& path, const Content& content) {
  nlohmann::ordered_json document = {
      {"schema", 1}, {"network", bundle.network}, {"name", bundle.peer}, {"format", choice.format}};
  if (bundle.public_key) document["public_key"] = bundle.public_key->base64();
  if (path.empty()) {
    document["content"] = content.text;
  } else {
    document["file"] = path;
  }
  Content text(document.dump());
  print_line(text.text);
}

/// A QR code is light on dark: on a terminal the colours are set, whatever theirs are.
void print_qr(const std::string& text) {
  const bool colour = wants_colour(STDOUT_FILENO);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    fmt::print("{}{}{}\n", colour ? "\033[40;97m" : "", text.substr(at, end - at),
               colour ? "\033[0m" : "");
    at = end + 1;
  }
}

void say_once(const client::Bundle& bundle) {
  if (bundle.key != client::KeyPlace::Included) return;
  fmt::print(stderr, "{} may connect to {} with this bundle; its key is not shown again\n",
             bundle.peer, bundle.network);
}

base::Status export_one(const Invocation& invocation, ExportChoice choice) {
  if (choice.output == "-") choice.output.clear();
  WARREN_TRY_ASSIGN(const BundleFormat format, chosen_format(choice));
  if (format == BundleFormat::Zip && choice.output.empty() &&
      (invocation.json || ::isatty(STDOUT_FILENO) == 1)) {
    return base::make_error(base::ErrorKind::Invalid, "a zip is no text",
                            "name a file: --output bundle.zip");
  }
  if (!choice.output.empty()) WARREN_TRY(check_new_file(choice.output));
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, choice.network));
  WARREN_TRY_ASSIGN(const api::PeerView peer, daemon.show_peer(network, choice.name));
  WARREN_TRY_ASSIGN(const client::Bundle bundle, make_bundle(daemon, peer, choice, format));
  auto written = client::write_bundle(bundle, format);
  if (!written) return base::Error(written.error()).within("export " + peer.name);
  const Content content(std::move(*written));
  WARREN_TRY(put_in_force(daemon, bundle, choice.output, content).within("export " + peer.name));
  if (invocation.json) {
    show_document(bundle, choice, choice.output, content);
    return {};
  }
  if (!choice.output.empty()) {
    fmt::print("{}\n", choice.output);
  } else if (format == BundleFormat::Qr) {
    print_qr(content.text);
  } else {
    std::fwrite(content.text.data(), 1, content.text.size(), stdout);
  }
  say_once(bundle);
  return {};
}

/// DIR/ROLE/NAME, made when missing.
base::Result<std::string> folder_of(const std::string& directory, const api::PeerView& peer) {
  const std::string role = peer.role.empty() ? "default" : peer.role;
  WARREN_TRY(model::check_peer_name(role));
  WARREN_TRY(model::check_peer_name(peer.name));
  std::string folder = directory;
  WARREN_TRY(os::make_directories(folder, 0700));
  for (const std::string& part : {role, peer.name}) {
    folder += "/" + part;
    WARREN_TRY(os::make_directories(folder, 0700));
  }
  return folder;
}

/// Why --all leaves a peer out; empty: it does not.
std::string left_out(const api::PeerView& peer, const ExportChoice& choice) {
  if (peer.state != kWaits && peer.state != "enrolled") return "it is " + peer.state;
  if (choice.generate_keys && peer.state != kWaits) return "it has its key already";
  return {};
}

base::Status export_all(const Invocation& invocation, const ExportChoice& choice) {
  WARREN_TRY_ASSIGN(const BundleFormat format, chosen_format(choice));
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, choice.network));
  WARREN_TRY_ASSIGN(const api::PeerList list, daemon.list_peers(network));
  nlohmann::ordered_json exported = nlohmann::ordered_json::array();
  for (const api::PeerView& peer : list.peers) {
    if (const std::string why = left_out(peer, choice); !why.empty()) {
      fmt::print(stderr, "{} is left out: {}\n", peer.name, why);
      continue;
    }
    WARREN_TRY_ASSIGN(const client::Bundle bundle, make_bundle(daemon, peer, choice, format));
    auto written = client::write_bundle(bundle, format);
    if (!written) return base::Error(written.error()).within("export " + peer.name);
    const Content content(std::move(*written));
    WARREN_TRY_ASSIGN(const std::string folder, folder_of(choice.all, peer));
    const std::string path = folder + "/" + client::bundle_file_name(format, bundle.network);
    WARREN_TRY(put_in_force(daemon, bundle, path, content).within("export " + peer.name));
    if (!invocation.json) fmt::print("{}\n", path);
    exported.push_back({{"name", peer.name}, {"file", path}});
  }
  if (invocation.json) {
    print_line(nlohmann::ordered_json{
        {"schema", 1}, {"network", network}, {"format", choice.format}, {"exported", exported}}
                   .dump());
  }
  return {};
}

base::Status export_peers(const Invocation& invocation, const ExportChoice& choice) {
  if (choice.name.empty() == choice.all.empty()) {
    return base::make_error(base::ErrorKind::Invalid, "export needs a peer's NAME or --all DIR",
                            "see: warren peer export --help");
  }
  if (!choice.all.empty() && !choice.output.empty()) {
    return base::make_error(base::ErrorKind::Invalid, "--all names its files itself",
                            "leave --output out");
  }
  return choice.all.empty() ? export_one(invocation, choice) : export_all(invocation, choice);
}

}  // namespace

void add_peer_export_command(CLI::App& peer, Invocation& invocation) {
  auto choice = std::make_shared<ExportChoice>();
  CLI::App* command =
      peer.add_subcommand("export", "Write what a program that cannot join is configured with");
  command->add_option("NAME", choice->name, "the peer");
  command->add_option("--network", choice->network,
                      "the network; may be left out when there is only one");
  command
      ->add_option("--format", choice->format,
                   "wg (a conf), qr (for phones), env (key=value), zip (with a start script) or "
                   "cloud-init (a machine's user data)")
      ->capture_default_str();
  command->add_option("-o,--output", choice->output,
                      "a new file, for its owner alone (with qr a .png); - or nothing: standard "
                      "output");
  command->add_flag("--generate-keys", choice->generate_keys,
                    "make the keys of a peer that waits for its key; the private half is in the "
                    "bundle and nowhere else");
  command->add_flag("--with-program", choice->with_program,
                    "put this program into the zip, for machines without internet");
  command->add_option("--all", choice->all,
                      "every peer of the network, each into a folder DIR/ROLE/NAME");
  command
      ->add_option("--expires", choice->expires,
                   "how long a cloud-init machine that makes its own key may join")
      ->capture_default_str();
  command->footer("Example: warren peer export phone --generate-keys --format qr");
  command->callback(
      [&invocation, choice] { finish(invocation, export_peers(invocation, *choice)); });
}

}  // namespace warren::app
