#include "plan/host.hpp"
#include "plan/steps.hpp"

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

// Undoes the first `count` steps in reverse; returns what could not be undone, one line each.
std::string revert(Host& host, const std::vector<Step>& plan, std::size_t count,
                   const std::string& instance) {
  std::string left;
  for (std::size_t at = count; at-- > 0;) {
    const Step undo = plan[at].inverse();
    if (const auto status = host.apply(undo); !status)
      left += "\n  " + summary(undo, instance) + ": " + status.error().message;
  }
  return left;
}

}  // namespace

base::Result<std::size_t> reconcile(Host& host, const std::vector<HostNetwork>& desired,
                                    const StepPrinter& print) {
  WARREN_TRY_ASSIGN(const Observed observed, host.observe());
  WARREN_TRY_ASSIGN(const std::vector<Step> plan, make_plan(desired, observed));
  const std::string& instance = observed.environment.instance;
  for (std::size_t at = 0; at < plan.size(); ++at) {
    if (print)
      for (const std::string& command : plan[at].to_commands(instance)) print(command);
    auto status = host.apply(plan[at]);
    if (status) continue;
    const std::string left = revert(host, plan, at, instance);
    base::Error error = std::move(status).error();
    if (left.empty()) {
      error.message += " (everything done before it was undone)";
    } else {
      error.message += "; could not be undone:" + left;
    }
    return error;
  }
  return plan.size();
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
