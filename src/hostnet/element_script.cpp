// Adding an element that is there is no error, deleting an absent one is: what goes is added first.
#include "hostnet/element_script.hpp"

#include <string_view>

namespace warren::hostnet {

namespace {

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

void write(std::string_view verb, const std::map<std::string, std::vector<std::string>>& elements,
           std::string& out) {
  for (const auto& [set, list] : elements) {
    out.append(verb).append(" element inet ").append(set).append(" { ");
    for (std::size_t at = 0; at < list.size(); ++at) {
      if (at != 0) out += ", ";
      out += list[at];
    }
    out += " }\n";
  }
}

}  // namespace

bool ElementScript::can_hold(const plan::Fact& fact) {
  return std::holds_alternative<plan::Gate>(fact) || std::holds_alternative<plan::Guard>(fact) ||
         std::holds_alternative<plan::PortForward>(fact);
}

void ElementScript::take(const plan::Fact& fact, Elements& whole, Elements& keys) {
  const auto put = [&](const std::string& set, const std::string& key, const std::string& target) {
    whole[set].push_back(target.empty() ? key : key + " : " + target);
    if (&keys != &whole) keys[set].push_back(key);
  };
  if (const auto* gate = std::get_if<plan::Gate>(&fact)) {
    if (!gate->link.empty()) put(gate->table + " networks", quoted(gate->link), "");
    if (gate->transit4) put(gate->table + " transit4", gate->transit4->to_string(), "");
    if (gate->transit6) put(gate->table + " transit6", gate->transit6->to_string(), "");
  } else if (const auto* guard = std::get_if<plan::Guard>(&fact)) {
    const char* set = guard->family == base::Family::V4 ? " guarded4" : " guarded6";
    put(guard->table + set, quoted(guard->link), "");
  } else if (const auto* forward = std::get_if<plan::PortForward>(&fact)) {
    put(forward->table + " " + forward->map(), forward->key_text(), forward->target_text());
    netns_ = forward->netns;
  }
}

std::string ElementScript::text() const {
  std::string out;
  write("add", present_, out);
  write("delete", gone_, out);
  write("add", added_, out);
  return out;
}

}  // namespace warren::hostnet
