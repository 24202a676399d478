// Bundles for programs that cannot join by themselves.
//
// Every format is written from one conf, so that all say the same. A conf of a member that holds
// its key itself has a comment in the key's place; its zip makes the key on the member's machine at
// the first start and says what to hand to the gateway. Values come from the gateway's answer,
// parsed into types: nothing in them can end a line or a value.
#include "client/bundle.hpp"

#include <array>
#include <utility>

#include "client/qr_code.hpp"
#include "crypto/crypto.hpp"
#include "model/conf_key.hpp"

namespace warren::client {
namespace {

constexpr std::array<std::pair<std::string_view, BundleFormat>, 5> kFormats{{
    {"wg", BundleFormat::Wg},
    {"qr", BundleFormat::Qr},
    {"env", BundleFormat::Env},
    {"zip", BundleFormat::Zip},
    {"cloud-init", BundleFormat::CloudInit},
}};

constexpr std::string_view kKeyLine =
    "# PrivateKey = made by the member with `wg genkey`; put it here";

std::string conf_text(const Bundle& bundle) {
  if (bundle.key == KeyPlace::Included) return bundle.conf.write();
  std::string line(kKeyLine);
  if (bundle.public_key) line += " (its public half is " + bundle.public_key->base64() + ")";
  return bundle.conf.write_without_key(line);
}

// --- env ---

template <typename T>
std::string commas(const std::vector<T>& values) {
  std::string out;
  for (const T& value : values) out += (out.empty() ? "" : ",") + value.to_string();
  return out;
}

std::string services_text(const Bundle& bundle) {
  std::string out;
  for (const model::Variable& variable : bundle.environment) {
    out.append(variable.name).append("=").append(variable.value).append("\n");
  }
  return out;
}

/// Values have no blanks and no quotes, so that sh, docker and systemd read the same.
std::string env_text(const Bundle& bundle) {
  const model::ConfInterface& interface = bundle.conf.interface;
  const std::string services = services_text(bundle);
  std::string out;
  out.reserve(4096 + services.size());
  const auto line = [&out](std::string_view key, std::string_view value) {
    if (!value.empty()) out.append(key).append("=").append(value).append("\n");
  };
  line("WARREN_NETWORK", bundle.network);
  line("WARREN_PEER", bundle.peer);
  if (bundle.key == KeyPlace::Included) {
    std::string key = base::to_base64(interface.private_key.view());
    line("WG_PRIVATE_KEY", key);
    model::wipe_text(key);
  } else {
    out += "# WG_PRIVATE_KEY is made and held by the member\n";
  }
  if (bundle.public_key) line("WG_PUBLIC_KEY", bundle.public_key->base64());
  line("WG_ADDRESS", commas(interface.addresses));
  line("WG_DNS", commas(interface.dns_servers));
  std::string domains;
  for (const std::string& domain : interface.dns_search) {
    domains += (domains.empty() ? "" : ",") + domain;
  }
  line("WG_DNS_SEARCH", domains);
  if (interface.mtu) line("WG_MTU", std::to_string(*interface.mtu));
  for (const model::ConfPeer& gateway : bundle.conf.peers) {
    line("WG_PEER_PUBLIC_KEY", gateway.public_key.base64());
    line("WG_ALLOWED_IPS", commas(gateway.allowed_ips));
    if (gateway.endpoint) {
      const bool v6 = gateway.endpoint->host.find(':') != std::string::npos;
      line("WG_ENDPOINT", (v6 ? "[" + gateway.endpoint->host + "]" : gateway.endpoint->host) + ":" +
                              std::to_string(gateway.endpoint->port));
    }
    if (const auto seconds = gateway.persistent_keepalive_s) {
      line("WG_PERSISTENT_KEEPALIVE", std::to_string(*seconds));
    }
  }
  return out += services;
}

// --- zip ---

constexpr std::string_view kStartScript = R"sh(#!/bin/sh
# Puts this machine, or one program, into the network @NETWORK@ as @PEER@.
#   ./start.sh COMMAND...   one program inside the network (with warren; no root)
#   ./start.sh              the whole machine (with wg-quick; root); ends with: ./start.sh --stop
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
(cd "$here" && sha256sum --quiet --check SHA256SUMS) || {
  echo "start.sh: a file of this bundle is not what was packed; unpack it again" >&2
  exit 1
}
umask 077
PATH="$here:$PATH"
conf="$here/@NETWORK@.conf"
if grep -q '^# PrivateKey' "$conf"; then
  # The key is made here and never leaves this folder.
  if [ ! -s "$here/local/key" ]; then
    command -v wg >/dev/null || { echo "start.sh: needs wg (wireguard-tools)" >&2; exit 127; }
    mkdir -p "$here/local"
    key=$(wg genkey)
    printf 'PrivateKey = %s\n' "$key" > "$here/local/key"
    printf '%s\n' "$key" | wg pubkey > "$here/local/public.key"
    echo "start.sh: a key was made here. Tell whoever runs the gateway, then start again:" >&2
    echo "  warren peer set-key @PEER@ $(cat "$here/local/public.key") --network @NETWORK@"
    exit 3
  fi
  sed -e "/^# PrivateKey/r $here/local/key" "$conf" > "$here/local/@NETWORK@.conf"
  conf="$here/local/@NETWORK@.conf"
fi
# Programs are told of the network's services; what is set already stays.
if [ -f "$here/@NETWORK@.services.env" ]; then
  while IFS='=' read -r name value; do
    eval "[ -n \"\${$name+set}\" ] || export $name=\$value"
  done < "$here/@NETWORK@.services.env"
fi
case "${1-}" in
  "") exec wg-quick up "$conf" ;;
  --stop) exec wg-quick down "$conf" ;;
  *) exec warren run "$conf" -- "$@" ;;
esac
)sh";

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  while (true) {
    const std::size_t at = text.find(from);
    out.append(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    out.append(to);
    text.remove_prefix(at + from.size());
  }
}

base::Result<std::string> zip_bytes(const Bundle& bundle) {
  std::vector<ZipEntry> files;
  files.push_back({bundle.network + ".conf", conf_text(bundle), 0600});
  files.push_back({bundle.network + ".env", env_text(bundle), 0600});
  if (!bundle.environment.empty()) {
    files.push_back({bundle.network + ".services.env", services_text(bundle), 0600});
  }
  files.push_back(
      {"start.sh",
       replaced(replaced(kStartScript, "@NETWORK@", bundle.network), "@PEER@", bundle.peer), 0700});
  files.insert(files.end(), bundle.programs.begin(), bundle.programs.end());
  std::string sums;
  for (const ZipEntry& file : files) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(file.content.data());
    sums += base::to_hex(crypto::sha256({bytes, file.content.size()})) + "  " + file.path + "\n";
  }
  files.push_back({"SHA256SUMS", sums, 0600});
  for (ZipEntry& file : files) file.path = bundle.network + "-" + bundle.peer + "/" + file.path;
  auto zip = write_zip(files, bundle.now);
  for (ZipEntry& file : files) model::wipe_text(file.content);
  return zip;
}

// --- cloud-init ---

std::string indented(std::string_view text) {
  std::string out;
  out.reserve(2 * text.size() + 1024);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) out.append("      ").append(text.substr(at, end - at));
    out += '\n';
    at = end + 1;
  }
  return out;
}

std::string file_of(std::string_view path, std::string_view content) {
  std::string out;
  out.append("  - path: ").append(path).append("\n");
  out += "    owner: root:root\n    permissions: '0600'\n    content: |\n";
  std::string lines = indented(content);
  out += lines;
  model::wipe_text(lines);
  return out;
}

/// /etc/warren/NETWORK.env, for units and containers to read.
std::string services_file(const Bundle& bundle) {
  if (bundle.environment.empty()) return {};
  return file_of("/etc/warren/" + bundle.network + ".env", services_text(bundle));
}

/// A machine with stock WireGuard: the conf with its key.
std::string cloud_init_with_conf(const Bundle& bundle) {
  std::string conf = conf_text(bundle);
  std::string out = "#cloud-config\n# " + bundle.peer + " in the network " + bundle.network +
                    ": the tunnel is up from the first boot on.\npackages:\n  - wireguard-tools\n";
  out.reserve(3 * conf.size() + 4096);
  std::string file = file_of("/etc/wireguard/" + bundle.network + ".conf", conf);
  out += "write_files:\n";
  out += file;
  out += services_file(bundle);
  out += "runcmd:\n  - [systemctl, enable, --now, wg-quick@" + bundle.network + ".service]\n";
  model::wipe_text(file);
  model::wipe_text(conf);
  return out;
}

/// A machine whose image has warren: it makes its own key and joins with a token.
std::string cloud_init_with_token(const Bundle& bundle) {
  const std::string& network = bundle.network;
  return "#cloud-config\n# " + bundle.peer + " joins the network " + network +
         " at the first boot, with a key that it makes itself.\n"
         "# The image has warren; the token is good once.\n"
         "packages:\n  - wireguard-tools\n" +
         "write_files:\n" + file_of("/etc/warren/join.token", bundle.token + "\n") +
         services_file(bundle) + "runcmd:\n  - |\n" +
         "    set -e\n"
         "    install -d -m 0700 /etc/warren /etc/wireguard\n"
         "    XDG_CONFIG_HOME=/etc warren join --profile " +
         network +
         " - < /etc/warren/join.token\n"
         "    rm -f /etc/warren/join.token\n"
         "    ln -sf /etc/warren/" +
         network + ".conf /etc/wireguard/" + network +
         ".conf\n"
         "    systemctl enable --now wg-quick@" +
         network + ".service\n";
}

base::Error needs_the_key(std::string_view format, std::string hint) {
  return base::make_error(base::ErrorKind::Invalid,
                          "a bundle of format " + std::string(format) +
                              " is of no use without the private key, which the member holds",
                          std::move(hint));
}

}  // namespace

std::optional<BundleFormat> parse_bundle_format(std::string_view text) {
  for (const auto& [name, format] : kFormats) {
    if (name == text) return format;
  }
  return std::nullopt;
}

std::string bundle_file_name(BundleFormat format, std::string_view network) {
  const std::string name(network);
  switch (format) {
    case BundleFormat::Wg:
      return name + ".conf";
    case BundleFormat::Qr:
    case BundleFormat::QrPng:
      return name + ".png";
    case BundleFormat::Env:
      return name + ".env";
    case BundleFormat::Zip:
      return name + ".zip";
    case BundleFormat::CloudInit:
      return "user-data";
  }
  return name;
}

base::Result<std::string> write_bundle(const Bundle& bundle, BundleFormat format) {
  const bool has_key = bundle.key == KeyPlace::Included;
  switch (format) {
    case BundleFormat::Wg:
      return conf_text(bundle);
    case BundleFormat::Env:
      return env_text(bundle);
    case BundleFormat::Zip:
      return zip_bytes(bundle);
    case BundleFormat::CloudInit:
      if (has_key) return cloud_init_with_conf(bundle);
      if (!bundle.token.empty()) return cloud_init_with_token(bundle);
      return needs_the_key("cloud-init", "add a new peer for the machine: warren peer add NAME");
    case BundleFormat::Qr:
    case BundleFormat::QrPng:
      break;
  }
  if (!has_key) return needs_the_key("qr", "let the keys be made here: --generate-keys");
  std::string conf = conf_text(bundle);
  const auto code = QrCode::create(conf);
  model::wipe_text(conf);
  if (!code) return base::Error(code.error());
  return format == BundleFormat::QrPng ? code->png() : code->text();
}

}  // namespace warren::client
