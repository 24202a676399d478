// Theory of operation
//
// Many steps at once. A step by itself enters its namespace on a thread of its own and leaves it
// again; the steps of one place are done on one thread. What goes to disk or to nftables in
// transactions goes there together: the record of namespaces that are begun, the elements of the
// host's table. Where such a transaction fails its steps are done one by one, so that the error
// names the one.
//
// A network goes with its namespace: the kernel takes down what is inside by itself, for many at
// once, while nobody waits. What is on the host goes before: the ends of pairs as one group, for
// the deletion of a link waits until nobody can use it any more, 30 ms each.
#include <algorithm>
#include <set>

#include "hostnet/element_script.hpp"
#include "hostnet/host_net.hpp"
#include "hostnet/nftables.hpp"
#include "os/netns.hpp"

namespace warren::hostnet {

namespace {

using base::Status;

/// How many of the first steps `belongs` holds for.
template <typename Belongs>
std::size_t leading(std::span<const plan::Step> steps, Belongs belongs) {
  const auto other = std::ranges::find_if_not(steps, belongs);
  return static_cast<std::size_t>(other - steps.begin());
}

bool makes_space(const plan::Step& step) {
  return !step.before && std::holds_alternative<plan::Namespace>(*step.after);
}

bool adds_elements(const plan::Step& step) {
  return !step.before && ElementScript::can_hold(*step.after);
}

Status unless_absent(Status done) {
  if (!done && done.error().kind == base::ErrorKind::NotFound) return {};
  return done;
}

/// The host's ends of the links that go.
std::set<std::string> host_ends(std::span<const plan::Step> steps) {
  std::set<std::string> out;
  for (const plan::Step& step : steps) {
    const auto* link = std::get_if<plan::Link>(&*step.before);
    if (link != nullptr && !link->host_name.empty()) out.insert(link->host_name);
  }
  return out;
}

}  // namespace

plan::Progress HostNet::make_spaces(const std::vector<std::string>& names) {
  plan::Progress out;
  for (const std::string& name : names) {
    // A crash may have come between making it and marking it: it is empty then.
    if (records_.has_begun(name)) out.status = unless_absent(os::delete_named_netns(name));
    if (!out.status) return out;
  }
  out.status = records_.begin(names);
  if (!out.status) return out;
  for (const std::string& name : names) {
    out.status = make_space(name);
    if (!out.status) break;
    ++out.done;
  }
  const Status finished = records_.finish(names);
  if (finished || !out.status) return out;
  for (std::size_t at = 0; at < out.done; ++at) (void)os::delete_named_netns(names[at]);
  return {.done = 0, .status = finished};
}

Status HostNet::make_space(const std::string& name) {
  WARREN_TRY_ASSIGN(const os::Fd space, os::create_named_netns(name));
  const auto mark = [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open_in(space));
    return rtnl.set_alias("lo", alias());
  };
  Status marked = mark();
  if (!marked) (void)os::delete_named_netns(name);  // the mark's error matters more
  return marked;
}

plan::Progress HostNet::apply_in(const std::string& netns, std::span<const plan::Step> steps) {
  plan::Progress out;
  Status entered = inside(netns, [&]() -> Status {
    out = apply_here(steps);
    return {};
  });
  if (!entered) out.status = std::move(entered);
  return out;
}

plan::Progress HostNet::apply_here(std::span<const plan::Step> steps) {
  plan::Progress out;
  while (out.done < steps.size()) {
    const auto rest = steps.subspan(out.done);
    if (const std::size_t count = leading(rest, makes_space); count != 0) {
      std::vector<std::string> names;
      for (const plan::Step& step : rest.first(count))
        names.push_back(std::get<plan::Namespace>(*step.after).name);
      plan::Progress made = make_spaces(names);
      out.done += made.done;
      out.status = std::move(made.status);
      if (!out.status) return out;
      continue;
    }
    if (const std::size_t count = leading(rest, adds_elements); count > 1) {
      ElementScript script;
      for (const plan::Step& step : rest.first(count)) script.add(*step.after);
      if (run_nft(script.text())) {
        out.done += count;
        continue;
      }
    }
    const std::size_t count = std::max<std::size_t>(leading(rest, adds_elements), 1);
    for (const plan::Step& step : rest.first(count)) {
      out.status = apply(step);
      if (!out.status) return out;
      ++out.done;
    }
  }
  return out;
}

Status HostNet::delete_host_ends(const std::set<std::string>& names) {
  WARREN_TRY_ASSIGN(const std::vector<os::Link> links, rtnl_.links());
  // What a crash left without its alias is of no network: it goes with those that go.
  const auto goes = [&](const os::Link& link) {
    return is_halfway(link) || (link.alias == marks_.alias && names.contains(link.name));
  };
  if (std::ranges::none_of(links, goes)) return {};
  bool group_is_ours = true;
  for (const os::Link& link : links)
    group_is_ours = group_is_ours && (link.group != marks_.going || goes(link));
  Status out;
  for (const os::Link& link : links) {
    if (!goes(link)) continue;
    Status done =
        group_is_ours ? rtnl_.set_group(link.name, marks_.going) : rtnl_.delete_link(link.name);
    if (done = unless_absent(std::move(done)); !done) out = std::move(done);
  }
  if (!group_is_ours) return out;
  Status done = unless_absent(rtnl_.delete_group(marks_.going));
  return done ? out : done;
}

Status HostNet::remove_networks(std::span<const plan::Step> steps) {
  std::optional<base::Error> first;
  const auto collect = [&](Status status) {
    if (status) return;
    if (first) {
      first->message += "; " + status.error().message;
    } else {
      first = std::move(status).error();
    }
  };
  collect(delete_host_ends(host_ends(steps)));
  ElementScript script;
  for (const plan::Step& step : steps) {
    const auto* link = std::get_if<plan::Link>(&*step.before);
    // A station on the wire of a link of the host's: somebody may want its place there at once.
    if (link != nullptr && link->kind == plan::LinkKind::Macvlan) collect(change(link, nullptr));
    if (std::holds_alternative<plan::Gate>(*step.before)) script.remove(*step.before);
  }
  if (!script.empty()) collect(inside("", [&] { return unless_absent(run_nft(script.text())); }));
  for (const plan::Step& step : steps) {
    const auto* space = std::get_if<plan::Namespace>(&*step.before);
    if (space != nullptr) collect(change(space, nullptr));
  }
  if (first) return std::move(*first);
  return {};
}

}  // namespace warren::hostnet
