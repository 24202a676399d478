// `warren role`: what members of a network are, and where their addresses come from.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.hpp"
#include "apps/warren/ask.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"

namespace warren::app {
namespace {

struct Given {
  std::string network, name, range, range6, expires;
  std::uint32_t max_members = 0;
  CLI::Option* has_range = nullptr;
  CLI::Option* has_range6 = nullptr;
  CLI::Option* has_members = nullptr;
  CLI::Option* has_expires = nullptr;
};

/// The options of `add` and `set`.
std::shared_ptr<Given> add_options(CLI::App& command) {
  auto given = std::make_shared<Given>();
  command.add_option("NETWORK", given->network, "the network")->required();
  command.add_option("ROLE", given->name, "the role")->required();
  given->has_range =
      command.add_option("--range", given->range,
                         "its members' addresses: 10.20.1.0/24, 10.20.0.100-10.20.0.199; inside "
                         "the network's subnet; none: whatever no other role holds");
  given->has_range6 = command.add_option("--range6", given->range6, "the same of IPv6");
  given->has_members = command.add_option("--max-members", given->max_members,
                                          "how many may have it; 0: as many as the network");
  given->has_expires =
      command.add_option("--expires", given->expires,
                         "how long its memberships last: 12h, 30d; never: until they are ended");
  return given;
}

base::Result<api::RoleSet> settings_of(const Given& given) {
  api::RoleSet out;
  if (given.has_range->count() > 0) out.range = given.range;
  if (given.has_range6->count() > 0) out.range6 = given.range6;
  if (given.has_members->count() > 0) out.max_members = given.max_members;
  if (given.has_expires->count() == 0) return out;
  out.expires_s = given.expires == "never" ? 0U : parse_duration_s(given.expires);
  if (out.expires_s) return out;
  return base::make_error(base::ErrorKind::Invalid, "'" + given.expires + "' is not a time span",
                          "write it as 15m, 24h, 7d or never");
}

void print(const Invocation& invocation, const api::RoleView& role, const char* what) {
  if (invocation.json) return print_line(api::encode(role));
  const std::string where =
      role.range.empty() && role.range6.empty()
          ? "any address that no other role holds"
          : role.range + (role.range.empty() || role.range6.empty() ? "" : ", ") + role.range6;
  fmt::print("role {} of network {} {}: {}\n", role.name, role.network, what, where);
}

base::Status add(const Invocation& invocation, const Given& given) {
  WARREN_TRY_ASSIGN(const api::RoleSet set, settings_of(given));
  const api::RoleAdd request{.name = given.name,
                             .range = set.range,
                             .range6 = set.range6,
                             .max_members = set.max_members,
                             .expires_s = set.expires_s};
  WARREN_TRY_ASSIGN(const auto role, daemon_of(invocation).add_role(given.network, request));
  print(invocation, role, "is there");
  return {};
}

base::Status set(const Invocation& invocation, const Given& given) {
  WARREN_TRY_ASSIGN(const api::RoleSet request, settings_of(given));
  WARREN_TRY_ASSIGN(const auto role,
                    daemon_of(invocation).set_role(given.network, given.name, request));
  print(invocation, role, "is changed");
  return {};
}

base::Status list(const Invocation& invocation, const std::string& named) {
  const client::Daemon daemon = daemon_of(invocation);
  WARREN_TRY_ASSIGN(const std::string network, pick_network(daemon, named, NetworkIs::FirstWord));
  WARREN_TRY_ASSIGN(const auto list, daemon.list_roles(network));
  if (invocation.json) {
    print_line(api::encode(list));
    return {};
  }
  Table table({"ROLE", "RANGE", "RANGE6", "MEMBERS", "AT MOST", "LASTS", "DEFAULT"});
  for (const api::RoleView& role : list.roles) {
    table.add({role.name, role.range, role.range6, std::to_string(role.members),
               role.max_members == 0 ? "" : std::to_string(role.max_members),
               role.expires_s == 0 ? "" : fmt::format("{} s", role.expires_s),
               role.is_default ? "yes" : ""});
  }
  table.print();
  return {};
}

base::Status remove(const Invocation& invocation, const std::string& network,
                    const std::string& name) {
  WARREN_TRY(daemon_of(invocation).delete_role(network, name));
  if (invocation.json) {
    print_line(api::encode(api::Empty{}));
  } else {
    fmt::print("role {} of network {} is deleted\n", name, network);
  }
  return {};
}

}  // namespace

void add_role_commands(CLI::App& app, Invocation& invocation) {
  CLI::App* role = app.add_subcommand("role", "Classes of members, with addresses and limits");
  role->require_subcommand(1);
  role->footer("Example: warren role list lab");

  CLI::App* add_command = role->add_subcommand("add", "Make a role of a network");
  const auto added = add_options(*add_command);
  add_command->footer("Example: warren role add lab node --range 10.20.1.0/24");
  add_command->callback([&invocation, added] { finish(invocation, add(invocation, *added)); });

  CLI::App* set_command = role->add_subcommand("set", "Change the range and limits of a role");
  const auto changed = add_options(*set_command);
  set_command->footer("Example: warren role set lab node --max-members 20 --expires 30d");
  set_command->callback([&invocation, changed] { finish(invocation, set(invocation, *changed)); });

  CLI::App* list_command = role->add_subcommand("list", "List the roles of a network");
  list_command->alias("ls");
  auto listed = std::make_shared<std::string>();
  list_command->add_option("NETWORK", *listed, "the network; may be left out if there is one");
  list_command->footer("Example: warren role list lab");
  list_command->callback([&invocation, listed] { finish(invocation, list(invocation, *listed)); });

  CLI::App* delete_command = role->add_subcommand("delete", "Delete a role that nobody has");
  delete_command->alias("rm");
  auto doomed = std::make_shared<std::pair<std::string, std::string>>();
  delete_command->add_option("NETWORK", doomed->first, "the network")->required();
  delete_command->add_option("ROLE", doomed->second, "the role")->required();
  delete_command->footer("Example: warren role delete lab node");
  delete_command->callback([&invocation, doomed] {
    finish(invocation, remove(invocation, doomed->first, doomed->second));
  });
}

}  // namespace warren::app
