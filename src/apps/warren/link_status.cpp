#include "apps/warren/link_status.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/warren/ask.hpp"
#include "apps/warren/text.hpp"
#include "hostlink/directory.hpp"
#include "netns/runs.hpp"
#include "os/clock.hpp"

namespace warren::app {

using nlohmann::ordered_json;

namespace {

constexpr base::Duration kEngineAnswer = std::chrono::seconds(1);
constexpr base::Duration kPollEvery = std::chrono::milliseconds(100);
constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t last_handshake_s(const hostlink::LinkStatus& link) {
  if (!link.supervised) return 0;
  const auto traffic = netns::traffic_of(link.run, kEngineAnswer);
  return traffic ? traffic->last_handshake.ns / kSecond : 0;
}

}  // namespace

ordered_json link_document(const hostlink::LinkStatus& link) {
  return {{"name", link.run.name},
          {"profile", link.run.profile},
          {"pid", link.run.pid},
          {"public_key", link.run.public_key},
          {"addresses", link.run.addresses},
          {"state", link.condition},
          {"dns", link.names},
          {"last_handshake", last_handshake_s(link)}};
}

void print_links(const std::vector<hostlink::LinkStatus>& links) {
  if (links.empty()) return;
  const std::int64_t now_s = os::wall_now().ns / kSecond;
  Table table({"UP", "PROFILE", "PID", "ADDRESSES", "DNS", "HANDSHAKE"});
  for (const hostlink::LinkStatus& link : links) {
    table.add({link.run.name, link.run.profile,
               link.supervised ? std::to_string(link.run.pid) : "none",
               join_words(link.run.addresses), link.names, age(last_handshake_s(link), now_s)});
  }
  fmt::print("\n");
  table.print();
  for (const hostlink::LinkStatus& link : links) {
    if (link.condition != "up") fmt::print("  {}: {}\n", link.run.name, link.condition);
  }
}

std::optional<hostlink::LinkStatus> find_link(const Invocation& invocation,
                                              const std::string& name) {
  auto links = hostlink::list_links(hostlink::directory_in(invocation.run_dir));
  const auto found = std::ranges::find_if(links, [&](const hostlink::LinkStatus& link) {
    return link.run.name == name || (!name.empty() && link.run.profile == name);
  });
  if (found == links.end()) return std::nullopt;
  return std::move(*found);
}

base::Status check_link(const hostlink::LinkStatus& link, bool ready, base::Duration wait) {
  const std::string name = link.run.name;
  if (!link.supervised || (ready && link.condition != "up")) {
    return base::make_error(base::ErrorKind::Unavailable, name + " is not well: " + link.condition,
                            "`warren down " + name + "` and `warren up " + name + "` begin anew");
  }
  const base::Instant deadline = os::now() + wait;
  while (ready && last_handshake_s(link) == 0) {
    if (os::now() >= deadline) {
      return base::make_error(base::ErrorKind::Unavailable,
                              name + " is not ready: no handshake with its peer yet",
                              "send it a packet, and check that UDP reaches its Endpoint");
    }
    pass_time(kPollEvery);
  }
  return {};
}

}  // namespace warren::app
