#include "proxy/resolver.hpp"

#include <algorithm>

#include "os/clock.hpp"
#include "proxy/limits.hpp"

// Theory of operation
//
// A lookup asks one server at a time, for the addresses of every family that we have, from a port
// of its own with numbers that nobody can guess; only what comes from that server's port 53 and
// repeats the question is an answer. A server that fails, refuses or is silent gives way to the
// next; a server that knows the name not has answered. When one family is answered and the other
// is not in time, what is there is used.
//
// Every lookup has at most one timer, and everything that ends a lookup goes through it: so a
// handler of the stack never destroys what has called it.

namespace warren::proxy {

struct Resolver::Lookup {
  std::vector<std::string> names;  // to be tried in this order
  std::size_t name = 0;
  std::size_t tries = 0;  // servers asked for this name
  std::unique_ptr<UdpPipe> pipe;
  std::vector<dns::Question> questions;
  std::vector<bool> answered;
  std::vector<base::IpAddress> addresses;
  std::uint32_t ttl_s = ~std::uint32_t{0};
  bool server_failed = false;
  bool anybody_answered = false;
  std::string asked;  // as the client said it
  Done done;
  os::Loop::TimerId timer = 0;
};

Resolver::Resolver(os::Loop& loop, Stack& stack, base::RandomSource& random, Options options)
    : loop_(loop), stack_(stack), random_(random), options_(std::move(options)) {
  if (options_.servers.size() > kMaxDnsServers) options_.servers.resize(kMaxDnsServers);
  if (options_.search.size() > kMaxDnsSearch) options_.search.resize(kMaxDnsSearch);
}

Resolver::~Resolver() {
  for (const auto& [id, lookup] : lookups_) loop_.cancel(lookup->timer);
}

std::vector<std::string> Resolver::candidates(const std::string& name) const {
  std::vector<std::string> out;
  if (name.find('.') == std::string::npos) {
    for (const std::string& domain : options_.search) out.push_back(name + "." + domain);
  }
  out.push_back(name);
  return out;
}

Resolver::LookupId Resolver::lookup(const std::string& name, Done done) {
  const LookupId id = next_++;
  auto made = std::make_unique<Lookup>();
  made->names = candidates(name);
  made->asked = name;
  made->done = std::move(done);
  lookups_.emplace(id, std::move(made));
  if (options_.servers.empty()) {
    finish_later(id, {.addresses = {}, .failure = Failure::NoDns});
  } else if (lookups_.size() > kMaxLookups) {
    finish_later(id, {.addresses = {}, .failure = Failure::TooMany});
  } else if (const auto known = known_.find(name);
             known != known_.end() && known->second.until > os::now()) {
    finish_later(id, {.addresses = known->second.addresses});
  } else {
    ask(id);
  }
  return id;
}

void Resolver::cancel(LookupId lookup) {
  const auto found = lookups_.find(lookup);
  if (found == lookups_.end()) return;
  loop_.cancel(found->second->timer);
  lookups_.erase(found);
}

void Resolver::later(LookupId id, base::Instant when, std::function<void()> what) {
  Lookup& lookup = *lookups_.at(id);
  loop_.cancel(lookup.timer);
  lookup.timer = loop_.at(when, [this, id, what = std::move(what)] {
    lookups_.at(id)->timer = 0;
    what();
  });
}

void Resolver::ask(LookupId id) {
  Lookup& lookup = *lookups_.at(id);
  const base::IpAddress server = options_.servers[lookup.tries % options_.servers.size()];
  const base::Endpoint to{.address = server, .port = dns::kPort};
  lookup.questions.clear();
  lookup.addresses.clear();
  lookup.server_failed = false;
  for (const auto& [type, family] :
       {std::pair{dns::Type::Aaaa, base::Family::V6}, {dns::Type::A, base::Family::V4}}) {
    if (stack_.own_address(family) == nullptr) continue;
    lookup.questions.push_back({.id = static_cast<std::uint16_t>(random_.u32()),
                                .name = lookup.names[lookup.name],
                                .type = type});
  }
  lookup.answered.assign(lookup.questions.size(), false);
  auto pipe = UdpPipe::open(stack_, server.family(),
                            [this, id, to](const base::Endpoint& from, base::Bytes message) {
                              if (from == to) handle_answer(id, message);
                            });
  lookup.pipe = pipe ? std::move(*pipe) : nullptr;
  if (!lookup.pipe) return later(id, os::now(), [this, id] { next_server(id); });
  for (const dns::Question& question : lookup.questions) {
    lookup.pipe->send(to, dns::write_question(question));
  }
  later(id, os::now() + kDnsPatience, [this, id] { settle(id); });
}

void Resolver::handle_answer(LookupId id, base::Bytes message) {
  Lookup& lookup = *lookups_.at(id);
  for (std::size_t i = 0; i < lookup.questions.size(); ++i) {
    if (lookup.answered[i]) continue;
    const auto answer = dns::parse_answer(message, lookup.questions[i], kMaxDnsAddresses);
    if (!answer) continue;
    lookup.answered[i] = true;
    if (answer->outcome == dns::Answer::Outcome::NoServer) lookup.server_failed = true;
    if (answer->outcome != dns::Answer::Outcome::NoServer) lookup.anybody_answered = true;
    if (answer->outcome != dns::Answer::Outcome::Found) continue;
    lookup.ttl_s = std::min(lookup.ttl_s, answer->ttl_s);
    // IPv6 before IPv4, whichever answer came first.
    const auto where =
        answer->addresses[0].is_v6() ? lookup.addresses.begin() : lookup.addresses.end();
    lookup.addresses.insert(where, answer->addresses.begin(), answer->addresses.end());
  }
  const bool all = std::ranges::all_of(lookup.answered, [](bool one) { return one; });
  if (all) later(id, os::now(), [this, id] { settle(id); });
}

/// Every answer is here, or the time is over.
void Resolver::settle(LookupId id) {
  Lookup& lookup = *lookups_.at(id);
  if (!lookup.addresses.empty()) {
    remember(lookup.asked, lookup);
    return finish(id, {.addresses = lookup.addresses});
  }
  const bool silent = std::ranges::none_of(lookup.answered, [](bool one) { return one; });
  if (silent || lookup.server_failed) return next_server(id);
  if (++lookup.name == lookup.names.size()) {
    return finish(id, {.addresses = {}, .failure = Failure::NameNotFound});
  }
  lookup.tries = 0;
  ask(id);
}

void Resolver::next_server(LookupId id) {
  Lookup& lookup = *lookups_.at(id);
  if (++lookup.tries < options_.servers.size() * kDnsRounds) return ask(id);
  finish(id, {.addresses = {}, .failure = Failure::NameTimeout});
}

void Resolver::remember(const std::string& name, const Lookup& lookup) {
  if (known_.size() >= kMaxKnownNames) {
    const base::Instant now = os::now();
    std::erase_if(known_, [&](const auto& one) { return one.second.until <= now; });
    if (known_.size() >= kMaxKnownNames) known_.erase(known_.begin());
  }
  const auto ttl =
      std::clamp<base::Duration>(std::chrono::seconds(lookup.ttl_s), kLeastTtl, kMostTtl);
  known_[name] = {.addresses = lookup.addresses, .until = os::now() + ttl};
}

void Resolver::finish_later(LookupId id, Outcome outcome) {
  later(id, os::now(), [this, id, outcome = std::move(outcome)] { finish(id, outcome); });
}

void Resolver::finish(LookupId id, const Outcome& outcome) {
  const auto node = lookups_.extract(id);
  loop_.cancel(node.mapped()->timer);
  node.mapped()->done(id, outcome);
}

}  // namespace warren::proxy
