// `warren token`: the tokens of administrators from elsewhere.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"
#include "model/conf_key.hpp"

namespace warren::app {
namespace {

struct TokenChoice {
  std::string name;
  std::string network;
  std::string expires;
  bool read_only = false;
};

std::string good_for(const api::TokenView& token) {
  const std::string what = token.network.empty() ? "everything" : "network " + token.network;
  return token.read_only ? what + ", looking only" : what;
}

base::Status create(const Invocation& invocation, const TokenChoice& choice) {
  api::TokenCreate wanted{
      .name = choice.name, .network = {}, .read_only = choice.read_only, .expires_s = {}};
  if (!choice.network.empty()) wanted.network = choice.network;
  if (!choice.expires.empty()) {
    wanted.expires_s = parse_duration_s(choice.expires);
    if (!wanted.expires_s) {
      return base::make_error(base::ErrorKind::Invalid,
                              "'" + choice.expires + "' is not a time span",
                              "write it as 12h, 90d or 52w");
    }
  }
  WARREN_TRY_ASSIGN(api::TokenCreated made, daemon_of(invocation).create_token(wanted));
  if (invocation.json) {
    std::string text = api::encode(made);
    print_line(text);
    model::wipe_text(text);
  } else {
    fmt::print(stderr, "token {}: good for {}{}; it is not shown again\n", made.token.name,
               good_for(made.token),
               made.token.expires == 0 ? "" : ", until " + moment(made.token.expires));
    if (made.bundle.empty()) {
      fmt::print(
          stderr,
          "  hint: nobody can use it yet: set admin.listen in the daemon's settings, then start "
          "the daemon again\n");
    } else {
      fmt::print("bundle  {}\n", made.bundle);
    }
    fmt::print("secret  {}\n", made.secret);
  }
  model::wipe_text(made.secret);
  model::wipe_text(made.bundle);
  return {};
}

base::Status list(const Invocation& invocation) {
  WARREN_TRY_ASSIGN(const api::TokenList tokens, daemon_of(invocation).list_tokens());
  if (invocation.json) {
    print_line(api::encode(tokens));
    return {};
  }
  Table table({"NAME", "GOOD FOR", "MADE", "UNTIL"});
  for (const api::TokenView& token : tokens.tokens) {
    table.add({token.name, good_for(token), moment(token.created),
               token.expires == 0 ? "no end" : moment(token.expires)});
  }
  if (table.empty()) {
    fmt::print("no tokens; make one: warren token create NAME\n");
  } else {
    table.print();
  }
  return {};
}

base::Status remove(const Invocation& invocation, const std::string& name) {
  WARREN_TRY(daemon_of(invocation).delete_token(name));
  if (!invocation.json) fmt::print("token {} is good for nothing any more\n", name);
  return {};
}

}  // namespace

void add_token_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* token = app.add_subcommand("token", "Tokens for administering this gateway remotely");
  token->require_subcommand(1);
  token->footer("They are made and deleted on the gateway itself. Example: warren token create ci");
  const auto choice = std::make_shared<TokenChoice>();

  CLI::App* make = token->add_subcommand("create", "Make a token; its secret is shown once");
  make->add_option("NAME", choice->name, "What the audit calls it")->required();
  make->add_option("--network", choice->network, "Good for this network alone");
  make->add_flag("--read-only", choice->read_only, "May look, not change");
  make->add_option("--expires", choice->expires,
                   "How long it is good for (default: until it is deleted)");
  make->footer(
      "The bundle is for `warren remote add`, the secret for other programs\n"
      "(Authorization: Bearer SECRET).\n"
      "Example: warren token create ci --network physics --expires 90d");
  make->callback([&invocation, choice] { finish(invocation, create(invocation, *choice)); });

  CLI::App* show = token->add_subcommand("list", "List the tokens")->alias("ls");
  show->footer("Example: warren token list --json");
  show->callback([&invocation] { finish(invocation, list(invocation)); });

  CLI::App* drop = token->add_subcommand("delete", "Delete a token: at once")->alias("rm");
  drop->add_option("NAME", choice->name, "The token")->required();
  drop->footer("Example: warren token delete ci");
  drop->callback([&invocation, choice] { finish(invocation, remove(invocation, choice->name)); });
}

}  // namespace warren::app
