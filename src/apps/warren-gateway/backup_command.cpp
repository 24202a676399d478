// `warren backup` and `warren restore`: a whole gateway as one file.
//
// The backup is made here, not by the daemon: it reads the database as any other reader does, and
// needs no more than the right to read the state directory. Nothing of it touches the disk in the
// clear when it is sealed.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/secret_prompt.hpp"
#include "apps/warren/text.hpp"
#include "crypto/secret.hpp"
#include "gateway/backup.hpp"
#include "gateway/settings.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "pki/envelope.hpp"
#include "store_sqlite/snapshot.hpp"

namespace warren::app {
namespace {

constexpr std::size_t kPemBytes = std::size_t{1} << 20;

struct BackupChoice {
  std::string file;
  std::string settings = gateway::kDefaultSettingsFile;
  std::string passphrase_file;
  std::string recipient;
  bool force = false;
};

/// Text that is overwritten when it goes.
struct Wiped {
  explicit Wiped(std::string held) : text(std::move(held)) {}
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() { crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()}); }
  std::string text;
};

/// The first line of a file, or of standard input.
base::Result<std::string> passphrase_in(const std::string& path) {
  WARREN_TRY_ASSIGN(SecretFile file, SecretFile::open(path));
  return file.next();
}

base::Result<std::string> protected_text(const backup::Contents& contents,
                                         const BackupChoice& choice) {
  if (!choice.passphrase_file.empty()) {
    WARREN_TRY_ASSIGN(std::string line, passphrase_in(choice.passphrase_file));
    const Wiped passphrase(std::move(line));
    os::SystemRandom random;
    return backup::write_sealed(contents, passphrase.text, random);
  }
  if (choice.recipient.empty()) return backup::write_plain(contents);
  const Wiped plain(backup::write_plain(contents));
  const auto pem = os::read_file(choice.recipient, kPemBytes);
  if (!pem) {
    return base::Error(pem.error())
        .with_hint("--recipient names a PEM file with certificates or a public key");
  }
  return pki::seal_envelope(plain.text, *pem);
}

base::Status write_out(const std::string& file, const std::string& text) {
  if (file != "-") return os::write_file_atomically(file, text, 0600);
  if (::isatty(STDOUT_FILENO) == 1) {
    return base::make_error(base::ErrorKind::Invalid, "a backup is no text for a terminal",
                            "name a file, or send it on: warren backup - | ssh other 'cat > b'");
  }
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return {};
  return base::os_error("write the backup to standard output");
}

/// A backup is not silently replaced: the one there may be the only one, or sealed where this one
/// is not.
base::Status check_place(const BackupChoice& choice) {
  if (choice.file == "-" || choice.force || ::access(choice.file.c_str(), F_OK) != 0) return {};
  return base::make_error(base::ErrorKind::Conflict, choice.file + " exists already",
                          "choose another file, or give --force: that one is then gone");
}

base::Error cannot_gather(base::Error error) {
  if (error.kind == base::ErrorKind::NotPermitted) {
    error = std::move(error).with_hint("run it as root, or as the user whose gateway it is");
  } else if (error.kind == base::ErrorKind::NotFound) {
    error = std::move(error).with_hint(
        "no daemon has left a state there: name the right directory with --state-dir");
  }
  return std::move(error).within("make a backup");
}

base::Status make_backup(const Invocation& invocation, const BackupChoice& choice) {
  if (!choice.passphrase_file.empty() && !choice.recipient.empty()) {
    return base::make_error(base::ErrorKind::Invalid,
                            "a backup is sealed with a passphrase or to a recipient, not both",
                            "leave one of them out");
  }
  WARREN_TRY(check_place(choice));
  const auto contents = gateway::gather_backup({.state_dir = invocation.state_dir,
                                                .settings_file = choice.settings,
                                                .program = version_text(),
                                                .now = os::wall_now(),
                                                .snapshot = store_sqlite::snapshot});
  if (!contents) return cannot_gather(contents.error());
  WARREN_TRY_ASSIGN(const std::string text,
                    protected_text(*contents, choice).within("make a backup"));
  WARREN_TRY(write_out(choice.file, text));
  const bool sealed = !choice.passphrase_file.empty() || !choice.recipient.empty();
  if (invocation.json && choice.file != "-") {
    nlohmann::ordered_json files = nlohmann::ordered_json::array();
    for (const backup::File& file : contents->files) files.push_back(file.name);
    print_line(nlohmann::ordered_json{
        {"schema", 1},
        {"file", choice.file},
        {"bytes", text.size()},
        {"sealed", sealed},
        {"files",
         files}}.dump());
    return {};
  }
  fmt::print(stderr, "{}: {} files, {} bytes{}\n",
             choice.file == "-" ? "standard output" : choice.file, contents->files.size(),
             text.size(),
             sealed ? "" : "; it holds private keys in the clear: keep it where nobody reads it");
  return {};
}

base::Result<backup::Contents> read_backup(const BackupChoice& choice) {
  const std::string name = choice.file == "-" ? "/dev/stdin" : choice.file;
  auto read = os::read_file(name, backup::kMaxBytes);
  if (!read) {
    return std::move(read).error().with_hint(
        "name a file that `warren backup` wrote and that this user may read, or - for standard "
        "input");
  }
  const Wiped text(std::move(*read));
  if (!choice.recipient.empty()) {
    auto pem = os::read_file(choice.recipient, kPemBytes);
    if (!pem) {
      return std::move(pem).error().with_hint(
          "--recipient-key names the private key, in PEM, of who the backup was sealed to");
    }
    const Wiped key(std::move(*pem));
    WARREN_TRY_ASSIGN(std::string opened, pki::open_envelope(text.text, key.text));
    const Wiped plain(std::move(opened));
    return backup::read(base::as_bytes(plain.text), std::nullopt);
  }
  if (choice.passphrase_file.empty()) return backup::read(base::as_bytes(text.text), std::nullopt);
  WARREN_TRY_ASSIGN(std::string line, passphrase_in(choice.passphrase_file));
  const Wiped passphrase(std::move(line));
  return backup::read(base::as_bytes(text.text), passphrase.text);
}

void say_restored(const Invocation& invocation, const backup::Contents& contents,
                  const gateway::Restored& done, const store_sqlite::Inspection& found) {
  if (invocation.json) {
    print_line(nlohmann::ordered_json{{"schema", 1},
                                      {"state_dir", invocation.state_dir},
                                      {"made", contents.made.seconds()},
                                      {"program", contents.program},
                                      {"networks", found.networks},
                                      {"peers", found.peers},
                                      {"audit_records", found.audit_records},
                                      {"aside", done.aside},
                                      {"settings", done.settings},
                                      {"kept_settings", done.kept_settings}}
                   .dump());
    return;
  }
  fmt::print("{} is as it was at {}: {} networks, {} peers, {} audit records whose chain holds\n",
             invocation.state_dir, moment(contents.made.seconds()), found.networks, found.peers,
             found.audit_records);
  if (!done.aside.empty()) fmt::print("  what was there is now {}\n", done.aside);
  if (done.other_instance) {
    fmt::print(
        "  that was another gateway's: remove what it left on this host with\n"
        "  warren cleanup --state-dir {}\n",
        done.aside);
  }
  for (const std::string& path : done.settings) fmt::print("  settings: {}\n", path);
  for (const std::string& path : done.kept_settings) {
    fmt::print("  settings: {} stays as it is; the backup's differ, they are in {}\n", path,
               done.settings_copy);
  }
  fmt::print("  start the daemon; members come back by themselves where the endpoint leads here\n");
}

base::Status restore(const Invocation& invocation, const BackupChoice& choice) {
  if (!choice.passphrase_file.empty() && !choice.recipient.empty()) {
    return base::make_error(base::ErrorKind::Invalid,
                            "a backup is opened with a passphrase or a key, not both",
                            "leave one of them out");
  }
  const bool twice = choice.file == "-" && choice.passphrase_file == "-";
  if (twice) {
    return base::make_error(base::ErrorKind::Invalid,
                            "backup and passphrase cannot both be standard input",
                            "give one of them as a file");
  }
  WARREN_TRY_ASSIGN(const backup::Contents contents,
                    read_backup(choice).within("restore " + choice.file));
  store_sqlite::Inspection found;
  const auto inspect = [&found](const std::string& path) -> base::Status {
    WARREN_TRY_ASSIGN(found, store_sqlite::inspect(path));
    return {};
  };
  WARREN_TRY_ASSIGN(const gateway::Restored done,
                    gateway::restore_backup(contents, {.state_dir = invocation.state_dir,
                                                       .settings_file = choice.settings,
                                                       .force = choice.force,
                                                       .inspect = inspect})
                        .within("restore " + choice.file));
  say_restored(invocation, contents, done, found);
  return {};
}

void add_common(CLI::App& command, BackupChoice& choice, const char* file_help) {
  command.add_option("FILE", choice.file, file_help)->required();
  command.add_option("--config", choice.settings, "the settings file")->capture_default_str();
}

}  // namespace

void add_backup_commands(CLI::App& app, Invocation& invocation) {
  auto made = std::make_shared<BackupChoice>();
  CLI::App* backup_command =
      app.add_subcommand("backup", "Write the whole gateway into one file; its daemon may run");
  add_common(*backup_command, *made, "the file, for its owner alone; - for standard output");
  backup_command->add_option("--passphrase-file", made->passphrase_file,
                             "seal it with the first line of this file; - for standard input");
  backup_command->add_option("--recipient", made->recipient,
                             "seal it to the certificates or the public key of this PEM file");
  backup_command->add_flag("--force", made->force, "replace a file that is there");
  backup_command->footer(
      "Networks, members, keys, refused keys, the audit and the settings are in it. Without a\n"
      "passphrase or recipient the gateway's private keys are in it in the clear.\n"
      "Example: warren backup --passphrase-file key.txt gateway.backup");
  backup_command->callback(
      [&invocation, made] { finish(invocation, make_backup(invocation, *made)); });

  auto wanted = std::make_shared<BackupChoice>();
  CLI::App* restore_command = app.add_subcommand(
      "restore", "Make a state directory what a backup says; its daemon is stopped");
  add_common(*restore_command, *wanted, "the backup; - for standard input");
  restore_command->add_option("--passphrase-file", wanted->passphrase_file,
                              "the passphrase is the first line of this file; - for standard "
                              "input");
  restore_command->add_option("--recipient-key", wanted->recipient,
                              "the private key, in PEM, of the recipient it was sealed to");
  restore_command->add_flag("--force", wanted->force,
                            "replace a state that is there; it is kept beside");
  restore_command->footer(
      "Everything is checked before anything is changed; after a crash the state is the former "
      "one\nor the restored one. Settings are written where there are none.\n"
      "Example: warren restore gateway.backup --passphrase-file key.txt");
  restore_command->callback(
      [&invocation, wanted] { finish(invocation, restore(invocation, *wanted)); });
}

}  // namespace warren::app
