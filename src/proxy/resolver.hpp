// Resolver: host names by the profile's name servers, through the tunnel and nowhere else.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "os/loop.hpp"
#include "proxy/dns_message.hpp"
#include "proxy/stack.hpp"
#include "proxy/target.hpp"

namespace warren::proxy {

class Resolver {
 public:
  struct Options {
    std::vector<base::IpAddress> servers;
    std::vector<std::string> search;  ///< tried first for a name without a dot
  };
  struct Outcome {
    std::vector<base::IpAddress> addresses;  ///< IPv6 first; empty: see `failure`
    Failure failure = Failure::NameNotFound;
  };
  using LookupId = std::uint64_t;
  using Done = std::function<void(LookupId, const Outcome&)>;

  Resolver(os::Loop& loop, Stack& stack, base::RandomSource& random, Options options);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Calls `done` once, later: never before this has returned. With the stack's families.
  LookupId lookup(const std::string& name, Done done);
  /// `done` will not be called.
  void cancel(LookupId lookup);
  [[nodiscard]] bool is_idle() const { return lookups_.empty(); }

 private:
  struct Lookup;
  struct Known {
    std::vector<base::IpAddress> addresses;
    base::Instant until;
  };
  void ask(LookupId id);
  void handle_answer(LookupId id, base::Bytes message);
  void handle_timeout(LookupId id);
  void settle(LookupId id);
  void next_server(LookupId id);
  void finish(LookupId id, const Outcome& outcome);
  void finish_later(LookupId id, Outcome outcome);
  void remember(const std::string& name, const Lookup& lookup);
  [[nodiscard]] std::vector<std::string> candidates(const std::string& name) const;
  void later(LookupId id, base::Instant when, std::function<void()> what);

  os::Loop& loop_;
  Stack& stack_;
  base::RandomSource& random_;
  Options options_;
  std::map<LookupId, std::unique_ptr<Lookup>> lookups_;
  std::map<std::string, Known> known_;
  LookupId next_ = 1;
};

}  // namespace warren::proxy
