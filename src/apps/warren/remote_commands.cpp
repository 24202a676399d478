// `warren remote`: gateways somewhere else that this user administers, and which one is meant when
// a command names none.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/secret_prompt.hpp"
#include "apps/warren/text.hpp"
#include "base/bytes.hpp"
#include "client/profile.hpp"
#include "client/remotes.hpp"
#include "model/admin_token.hpp"
#include "model/conf_key.hpp"

namespace warren::app {
namespace {

using base::ErrorKind;
using base::make_error;

constexpr std::uint16_t kDefaultPort = 51801;
constexpr std::string_view kPinScheme = "sha256//";

struct RemoteChoice {
  std::string name;
  std::string url;
  std::string pin;
  std::string token_file;
  bool unchecked = false;
};

std::string pin_text(const std::array<std::uint8_t, 32>& pin) {
  return std::string(kPinScheme) + base::to_base64(pin);
}

/// "https://HOST[:PORT][/]" or "HOST[:PORT]".
base::Result<std::string> address_of(std::string url) {
  constexpr std::string_view kScheme = "https://";
  const std::string given = url;
  if (url.starts_with(kScheme)) url.erase(0, kScheme.size());
  while (url.ends_with('/')) url.pop_back();
  const bool bare = !base::HostPort::parse(url);
  const auto at = base::HostPort::parse(bare ? url + ":" + std::to_string(kDefaultPort) : url);
  if (!at || at->port == 0 || url.find('/') != std::string::npos) {
    return make_error(ErrorKind::Invalid, "'" + given + "' is not the address of a gateway",
                      "write it as https://vpn.example.org:51801");
  }
  return bare ? url + ":" + std::to_string(kDefaultPort) : url;
}

/// As curl writes it, or 64 hexadecimal digits.
base::Result<std::array<std::uint8_t, 32>> parse_pin(const std::string& text) {
  std::array<std::uint8_t, 32> pin{};
  if (base::parse_hex(text, pin)) return pin;
  if (text.starts_with(kPinScheme)) {
    const auto bytes = base::parse_base64(text.substr(kPinScheme.size()));
    if (bytes && bytes->size() == pin.size()) {
      std::ranges::copy(*bytes, pin.begin());
      return pin;
    }
  }
  return make_error(ErrorKind::Invalid, "'" + text + "' is not the pin of a key",
                    "write it as sha256//BASE64, or as 64 hexadecimal digits");
}

base::Result<std::string> read_token(const RemoteChoice& choice) {
  if (!choice.token_file.empty()) {
    WARREN_TRY_ASSIGN(SecretFile file, SecretFile::open(choice.token_file));
    WARREN_TRY_ASSIGN(std::string line, file.next());
    // What `token create` prints, as it stands: its first line says what it is.
    if (line.starts_with("bundle ")) line.erase(0, line.find_first_not_of(' ', 6));
    return line;
  }
  if (auto typed = ask_on_terminal("Token (as `warren token create` printed it):", true)) {
    return std::move(*typed);
  }
  return make_error(ErrorKind::Invalid, "there is no terminal to type the token at",
                    "give it with --token-file FILE, or --token-file - for standard input");
}

/// From a bundle, which has everything, or from an address, a pin and a bare secret.
base::Result<model::TokenText> access_of(const RemoteChoice& choice, const std::string& token) {
  model::TokenText access;
  if (token.starts_with("warren")) {
    WARREN_TRY_ASSIGN(access, model::parse_admin_token(token));
  } else {
    const auto secret = base::parse_base64url(token);
    if (!secret || secret->size() != access.secret.size()) {
      return make_error(ErrorKind::Invalid, "this is no token",
                        "give the bundle or the secret that `warren token create` printed");
    }
    if (choice.url.empty() || choice.pin.empty()) {
      return make_error(ErrorKind::Invalid, "a secret alone does not say whose it is",
                        "give URL and --pin too, or the bundle, which has all of it");
    }
    std::ranges::copy(*secret, access.secret.begin());
  }
  if (!choice.url.empty()) {
    WARREN_TRY_ASSIGN(access.enrol_at, address_of(choice.url));
  }
  if (!choice.pin.empty()) {
    WARREN_TRY_ASSIGN(access.pin, parse_pin(choice.pin));
  }
  return access;
}

base::Result<client::Remotes> remotes_here() {
  WARREN_TRY_ASSIGN(const std::string directory, client::profile_directory());
  return client::Remotes(directory);
}

base::Status add(const Invocation& invocation, const RemoteChoice& choice) {
  WARREN_TRY(client::check_remote_name(choice.name));
  WARREN_TRY_ASSIGN(const client::Remotes remotes, remotes_here());
  WARREN_TRY_ASSIGN(std::string token, read_token(choice));
  auto access = access_of(choice, token);
  model::wipe_text(token);
  if (!access) return std::move(access).error();
  const client::Remote remote{.name = choice.name, .access = std::move(*access)};
  std::string version;
  if (!choice.unchecked) {
    auto status = client::Daemon(remote).status();
    if (!status) {
      base::Error error = std::move(status).error();
      // It is no remote yet: nothing is to be deleted before another token is tried.
      if (error.kind == ErrorKind::NotPermitted) {
        error.hint = "ask for another one, made on its gateway: warren token create NAME";
      }
      return error;
    }
    version = status->version;
  }
  WARREN_TRY(remotes.add(remote));
  if (invocation.json) {
    print_line(nlohmann::ordered_json{{"schema", 1},
                                      {"name", remote.name},
                                      {"address", remote.access.enrol_at},
                                      {"pin", pin_text(remote.access.pin)}}
                   .dump());
    return {};
  }
  fmt::print("remote {} is {}{}\n", remote.name, remote.access.enrol_at,
             version.empty() ? "" : " (warren " + version + ")");
  fmt::print("  try it: warren --remote {} network list\n", remote.name);
  return {};
}

base::Status list(const Invocation& invocation) {
  WARREN_TRY_ASSIGN(const client::Remotes remotes, remotes_here());
  WARREN_TRY_ASSIGN(const auto names, remotes.list());
  const std::string current = remotes.current();
  nlohmann::ordered_json document = {{"schema", 1}, {"remotes", nlohmann::ordered_json::array()}};
  Table table({"NAME", "ADDRESS", "IN USE"});
  table.add({std::string(client::kLocal), invocation.socket_path(), current.empty() ? "yes" : ""});
  for (const std::string& name : names) {
    const auto remote = remotes.read(name);
    const std::string address = remote ? remote->access.enrol_at : remote.error().message;
    table.add({name, address, name == current ? "yes" : ""});
    document["remotes"].push_back(
        {{"name", name}, {"address", address}, {"in_use", name == current}});
  }
  if (invocation.json) {
    print_line(document.dump());
  } else {
    table.print();
  }
  return {};
}

base::Status use(const Invocation& invocation, const std::string& name) {
  WARREN_TRY_ASSIGN(const client::Remotes remotes, remotes_here());
  WARREN_TRY(remotes.use(name));
  if (!invocation.json) {
    fmt::print("commands are for {} now; back with: warren remote use {}\n",
               name == client::kLocal ? "this host's daemon" : "remote " + name, client::kLocal);
  }
  return {};
}

base::Status remove(const Invocation& invocation, const std::string& name) {
  WARREN_TRY_ASSIGN(const client::Remotes remotes, remotes_here());
  WARREN_TRY(remotes.remove(name));
  if (!invocation.json) {
    fmt::print(
        "remote {} is forgotten here; its token is still good until it is deleted on the "
        "gateway\n",
        name);
  }
  return {};
}

}  // namespace

void add_remote_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* remote = app.add_subcommand("remote", "Gateways somewhere else that you administer");
  remote->require_subcommand(1);
  remote->footer("Then: warren --remote NAME COMMAND. Example: warren remote add berlin");
  const auto choice = std::make_shared<RemoteChoice>();

  CLI::App* make = remote->add_subcommand("add", "Add a gateway, with a token of its");
  make->add_option("NAME", choice->name, "What you call it")->required();
  make->add_option("URL", choice->url,
                   "Where it is, if not where the bundle says: https://HOST[:PORT]");
  make->add_option("--token-file", choice->token_file,
                   "The bundle or secret of `warren token create`; - for standard input");
  make->add_option("--pin", choice->pin, "Of its key, when there is no bundle: sha256//BASE64");
  make->add_flag("--no-check", choice->unchecked, "Do not ask it now whether the token is good");
  make->footer("Example: warren remote add berlin --token-file -");
  make->callback([&invocation, choice] { finish(invocation, add(invocation, *choice)); });

  CLI::App* show = remote->add_subcommand("list", "List them")->alias("ls");
  show->footer("Example: warren remote list");
  show->callback([&invocation] { finish(invocation, list(invocation)); });

  CLI::App* choose = remote->add_subcommand("use", "Mean this one when a command names none");
  choose->add_option("NAME", choice->name, "The remote, or local")->required();
  choose->footer("Example: warren remote use local");
  choose->callback([&invocation, choice] { finish(invocation, use(invocation, choice->name)); });

  CLI::App* drop = remote->add_subcommand("delete", "Forget a gateway and its token")->alias("rm");
  drop->add_option("NAME", choice->name, "The remote")->required();
  drop->footer("Example: warren remote delete berlin");
  drop->callback([&invocation, choice] { finish(invocation, remove(invocation, choice->name)); });
}

}  // namespace warren::app
