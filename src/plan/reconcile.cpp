// Theory of operation
//
// A plan is done in the order of its course (course.hpp). A step that fails ends it, and what was
// done is undone, by a course of its own; but whole networks that were removed stay removed: nobody
// desires them. Their removal goes on behind a failure, and the error lists what is left for the
// next time.
//
// Where networks may fail by themselves (reconcile_each) a failure to make a namespace, inside it,
// or at the host's end of its links, ends the steps of that network alone. What was made of it by
// then is removed with the next plan, which does not want it.
#include <map>
#include <set>

#include "plan/course.hpp"
#include "plan/host.hpp"

namespace warren::plan {

namespace {

// The first line of each command: a table's text is for --dry-run, not for an error.
std::string summary(const Step& step, const std::string& instance) {
  std::string out;
  for (const std::string& command : step.to_commands(instance)) {
    if (!out.empty()) out += "; ";
    out += command.substr(0, command.find('\n'));
  }
  return out;
}

/// One plan on its way.
class Journey {
 public:
  Journey(Host& host, std::string instance, StepPrinter print, bool each)
      : host_(host), instance_(std::move(instance)), print_(std::move(print)), each_(each) {}

  /// Does everything; on an error what can be undone is.
  [[nodiscard]] base::Status go(const Course& course) {
    base::Status left;
    base::Status made = run("", course.host_first);
    if (made) left = say_farewell(course.farewell);
    if (made && !left && !each_) made = left;
    if (made) made = make(course);
    if (!made) return give_up(std::move(made).error());
    if (course.host_end.empty()) return left;
    announce(course.host_end);
    const Progress end = host_.apply_in("", course.host_end);
    return left ? end.status : left;
  }
  [[nodiscard]] std::vector<LeftOut> take_left_out() { return std::move(left_out_); }

 private:
  [[nodiscard]] base::Status say_farewell(std::span<const Step> steps) {
    if (steps.empty()) return {};
    announce(steps);
    return host_.remove_networks(steps);
  }

  [[nodiscard]] base::Status make(const Course& course) {
    WARREN_TRY(make_spaces(course.spaces));
    for (const auto& [netns, steps] : course.inside) {
      for (const Step& step : steps) {
        const auto* link = step.after ? std::get_if<Link>(&*step.after) : nullptr;
        if (link != nullptr && !link->host_name.empty()) owners_[link->host_name] = netns;
      }
      if (failed_.contains(netns)) continue;
      base::Status done = run(netns, steps);
      if (done) continue;
      if (!each_) return done;
      leave_out(netns, std::move(done).error());
    }
    return run_last(course.host_last);
  }

  [[nodiscard]] base::Status make_spaces(std::span<const Step> steps) {
    while (!steps.empty()) {
      std::size_t done = 0;
      base::Status status = run("", steps, &done);
      if (status || !each_) return status;
      leave_out(std::get<Namespace>(*steps[done].after).name, std::move(status).error());
      steps = steps.subspan(done + 1);
    }
    return {};
  }

  /// The host's side of the networks, without those that failed already.
  [[nodiscard]] base::Status run_last(std::vector<Step> steps) {
    for (;;) {
      std::erase_if(steps, [this](const Step& step) { return failed_.contains(owner_of(step)); });
      std::size_t done = 0;
      base::Status status = run("", steps, &done);
      if (status) return status;
      const std::string owner = owner_of(steps[done]);
      if (!each_ || owner.empty()) return status;
      leave_out(owner, std::move(status).error());
      steps.erase(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(done));
    }
  }

  [[nodiscard]] std::string owner_of(const Step& step) const {
    const auto owner = owners_.find(host_link_of(step.after ? *step.after : *step.before));
    return owner == owners_.end() ? "" : owner->second;
  }

  void leave_out(const std::string& netns, base::Error why) {
    failed_.insert(netns);
    left_out_.push_back({netns, std::move(why)});
  }

  [[nodiscard]] base::Status run(const std::string& netns, std::span<const Step> steps,
                                 std::size_t* count = nullptr) {
    if (steps.empty()) return {};
    announce(steps);
    Progress progress = host_.apply_in(netns, steps);
    for (std::size_t at = 0; at < progress.done; ++at) done_.push_back(steps[at]);
    if (count != nullptr) *count = progress.done;
    return std::move(progress.status);
  }

  void announce(std::span<const Step> steps) const {
    if (!print_) return;
    for (const Step& step : steps)
      for (const std::string& command : step.to_commands(instance_)) print_(command);
  }

  [[nodiscard]] base::Error give_up(base::Error error) {
    print_ = {};
    std::vector<Step> undo;
    undo.reserve(done_.size());
    for (auto step = done_.rbegin(); step != done_.rend(); ++step) undo.push_back(step->inverse());
    const Course back = Course::of(undo);
    std::string left = go_back("", back.host_first);
    if (const base::Status gone = say_farewell(back.farewell); !gone)
      left += "\n  " + gone.error().message;
    left += go_back("", back.spaces);
    for (const auto& [netns, steps] : back.inside) left += go_back(netns, steps);
    left += go_back("", back.host_last) + go_back("", back.host_end);
    error.message +=
        left.empty() ? " (everything done before it was undone)" : "; could not be undone:" + left;
    return error;
  }

  /// Does what can be done of the steps; the others, one line each.
  [[nodiscard]] std::string go_back(const std::string& netns, std::span<const Step> steps) {
    std::string left;
    while (!steps.empty()) {
      const Progress progress = host_.apply_in(netns, steps);
      if (progress.status) break;
      const Step& failed = steps[progress.done];
      left += "\n  " + summary(failed, instance_) + ": " + progress.status.error().message;
      steps = steps.subspan(progress.done + 1);
    }
    return left;
  }

  Host& host_;
  std::string instance_;
  StepPrinter print_;
  bool each_;
  std::vector<Step> done_;
  std::map<std::string, std::string> owners_;  ///< of the host's ends of links: the namespace
  std::set<std::string> failed_;
  std::vector<LeftOut> left_out_;
};

}  // namespace

Progress Host::apply_in(const std::string&, std::span<const Step> steps) {
  Progress out;
  for (const Step& step : steps) {
    out.status = apply(step);
    if (!out.status) break;
    ++out.done;
  }
  return out;
}

base::Status Host::remove_networks(std::span<const Step> steps) {
  std::optional<base::Error> first;
  for (const Step& step : steps) {
    base::Status status = apply(step);
    if (status) continue;
    if (first) {
      first->message += "; " + status.error().message;
    } else {
      first = std::move(status).error();
    }
  }
  if (first) return std::move(*first);
  return {};
}

base::Result<std::size_t> reconcile(Host& host, const std::vector<HostNetwork>& desired,
                                    const StepPrinter& print) {
  WARREN_TRY_ASSIGN(const Observed observed, host.observe());
  WARREN_TRY_ASSIGN(const std::vector<Step> plan, make_plan(desired, observed));
  const Course course = Course::of(plan);
  WARREN_TRY(Journey(host, observed.environment.instance, print, false).go(course));
  return plan.size();
}

base::Result<std::vector<LeftOut>> reconcile_each(Host& host, std::vector<HostNetwork> desired) {
  WARREN_TRY_ASSIGN(const Observed observed, host.observe());
  std::vector<LeftOut> out;
  std::erase_if(desired, [&](const HostNetwork& network) {
    const base::Status free = check_names({network}, observed.environment);
    if (!free) out.push_back({network.netns_name(), free.error()});
    return !free;
  });
  WARREN_TRY_ASSIGN(const std::vector<Step> plan, make_plan(desired, observed));
  const Course course = Course::of(plan);
  Journey journey(host, observed.environment.instance, {}, true);
  WARREN_TRY(journey.go(course));
  for (LeftOut& one : journey.take_left_out()) out.push_back(std::move(one));
  return out;
}

base::Result<std::vector<std::string>> preview(Host& host,
                                               const std::vector<HostNetwork>& desired) {
  WARREN_TRY_ASSIGN(const Observed observed, host.observe());
  WARREN_TRY_ASSIGN(const std::vector<Step> plan, make_plan(desired, observed));
  std::vector<std::string> out;
  for (const Step& step : plan)
    for (std::string& command : step.to_commands(observed.environment.instance))
      out.push_back(std::move(command));
  return out;
}

}  // namespace warren::plan
