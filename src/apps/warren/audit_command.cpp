// `warren audit`: who changed what, as a chain that can be verified.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "base/bytes.hpp"
#include "base/key.hpp"
#include "store/audit_chain.hpp"

namespace warren::app {
namespace {

constexpr std::size_t kPage = 10'000;
constexpr auto kFollowEvery = std::chrono::seconds(1);

struct AuditChoice {
  std::size_t limit = 50;
  bool follow = false;
  std::string head;  ///< of verify: "NUMBER:HASH"
};

base::Status list(const Invocation& invocation, std::size_t limit) {
  WARREN_TRY_ASSIGN(const api::AuditList records, daemon_of(invocation).audit(limit));
  if (invocation.json) {
    print_line(api::encode(records));
    return {};
  }
  Table table({"TIME", "WHO", "WHAT", "ON", "RESULT"});
  for (const api::AuditEntry& entry : records.records) {
    table.add({moment(entry.time), entry.actor, entry.action, entry.target, entry.result});
  }
  table.print();
  return {};
}

void print_followed(const Invocation& invocation, const api::AuditEntry& entry) {
  if (invocation.json) return print_line(api::encode(entry));
  fmt::print("{}  {}  {}  {}  {}\n", moment(entry.time), entry.actor, entry.action, entry.target,
             entry.result);
}

/// The last `limit` records, then each as it is written, until a signal.
base::Status follow(const Invocation& invocation, std::size_t limit) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const api::AuditList past, daemon.audit(limit));
  std::uint64_t last = past.records.empty() ? 0 : past.records.front().number;
  last = std::max(last, past.through.value_or(0));
  for (auto entry = past.records.rbegin(); entry != past.records.rend(); ++entry) {
    print_followed(invocation, *entry);
  }
  std::fflush(stdout);
  for (;; pass_time(kFollowEvery)) {
    const auto fresh = daemon.audit_after(last, kPage);
    if (!fresh && fresh.error().kind != base::ErrorKind::Unavailable) return fresh.error();
    if (!fresh) continue;  // the daemon restarts: what it writes meanwhile comes later
    for (const api::AuditEntry& entry : fresh->records) {
      print_followed(invocation, entry);
      last = entry.number;
    }
    last = std::max(last, fresh->through.value_or(0));
    if (std::fflush(stdout) != 0) return {};
  }
}

base::Result<store::ChainHash> parse_hash(const std::string& text) {
  // A hash and a key are both 64 digits.
  if (const auto digits = base::PublicKey::parse_hex(text)) return digits->bytes;
  return base::make_error(base::ErrorKind::Invalid, "'" + text + "' is no hash of the audit",
                          "64 hexadecimal digits, as `warren audit verify` prints them");
}

/// A head that somebody noted earlier.
struct KnownHead {
  std::uint64_t number = 0;
  store::ChainHash hash{};
  bool seen = false;
};
base::Result<std::optional<KnownHead>> parse_head(const std::string& text) {
  if (text.empty()) return std::optional<KnownHead>();
  const std::size_t colon = text.find(':');
  const auto number = base::parse_number(text.substr(0, colon), 1, INT64_MAX);
  if (!number || colon == std::string::npos) {
    return base::make_error(base::ErrorKind::Invalid, "'" + text + "' is no head of the audit",
                            "write it as NUMBER:HASH, as `warren audit verify` printed it");
  }
  KnownHead head{.number = *number};
  WARREN_TRY_ASSIGN(head.hash, parse_hash(text.substr(colon + 1)));
  return std::optional(head);
}

base::Result<store::AuditEntry> entry_of(const api::AuditEntry& entry) {
  store::AuditEntry out;
  out.number = entry.number;
  out.record = {.time = {entry.time_ns},
                .actor = entry.actor,
                .action = entry.action,
                .target = entry.target,
                .result = entry.result};
  WARREN_TRY_ASSIGN(out.chain, parse_hash(entry.chain));
  return out;
}

/// Checked here, record by record, so that a long audit keeps no daemon busy.
base::Status check_chain(const client::Daemon& daemon, const store::AuditSpan& span,
                         std::optional<KnownHead>& known) {
  store::ChainCheck check(span);
  for (std::uint64_t at = span.before; at < span.last;) {
    WARREN_TRY_ASSIGN(const api::AuditList page, daemon.audit_after(at, kPage));
    if (page.records.empty()) break;
    for (const api::AuditEntry& one : page.records) {
      if (one.number > span.last) return check.finish();  // written while we read
      WARREN_TRY_ASSIGN(const store::AuditEntry entry, entry_of(one));
      WARREN_TRY(check.add(entry));
      if (known && known->number == entry.number) known->seen = known->hash == entry.chain;
      at = entry.number;
    }
  }
  return check.finish();
}

base::Status verify(const Invocation& invocation, const std::string& head_text) {
  WARREN_TRY_ASSIGN(std::optional<KnownHead> known, parse_head(head_text));
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const api::AuditSpan told, daemon.audit_span());
  store::AuditSpan span{.before = told.before, .last = told.last};
  WARREN_TRY_ASSIGN(span.anchor, parse_hash(told.anchor));
  WARREN_TRY_ASSIGN(span.head, parse_hash(told.head));
  if (known && known->number == span.before) known->seen = known->hash == span.anchor;
  WARREN_TRY(check_chain(daemon, span, known));
  if (known && !known->seen) {
    return base::make_error(
        base::ErrorKind::Failed,
        fmt::format("record {} is not the one that had the hash {}", known->number,
                    base::to_hex(known->hash)),
        "the audit is another one than when that head was noted, or forgot that record since");
  }
  if (invocation.json) {
    print_line(api::encode(told));
    return {};
  }
  fmt::print("records {} to {} are as they were written\n", span.before + 1, span.last);
  fmt::print("head {}:{}\n", told.last, told.head);
  return {};
}

}  // namespace

void add_audit_command(CLI::App& app, Invocation& invocation) {
  auto choice = std::make_shared<AuditChoice>();
  CLI::App* command =
      app.add_subcommand("audit", "Show who changed what on this gateway, newest first");
  command->add_option("--limit", choice->limit, "how many records")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_flag("-f,--follow", choice->follow, "go on with each new one, oldest first");
  command->footer("Example: warren audit --limit 10");
  CLI::App* verify_command =
      command->add_subcommand("verify", "Check that no record was changed, removed or slipped in");
  verify_command->add_option(
      "--head", choice->head,
      "NUMBER:HASH, as an earlier verify printed it: that it is still there");
  verify_command->footer(
      "Note the head it prints where nobody who may write on the gateway can change it.\n"
      "Example: warren audit verify");
  verify_command->callback(
      [&invocation, choice] { finish(invocation, verify(invocation, choice->head)); });
  command->callback([&invocation, choice, verify_command] {
    if (verify_command->parsed()) return;
    finish(invocation,
           choice->follow ? follow(invocation, choice->limit) : list(invocation, choice->limit));
  });
}

}  // namespace warren::app
