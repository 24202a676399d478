// The audit as it is asked for: whole, of one network, and as events.
//
// A record names its network by name, and names come again. So what is of a network is what bears
// its name and is not older than it; a clock that was set back since hides nothing, because a
// network from the future has no such bound. Records of one network are found by looking at all:
// each call looks at a bounded number of them and says how far it came.
#include <algorithm>
#include <array>
#include <limits>

#include "base/bytes.hpp"
#include "control/impl.hpp"
#include "control/limits.hpp"

namespace warren::control {

namespace {

std::string chain_text(const store::ChainHash& hash) {
  return hash == store::ChainHash{} ? std::string() : base::to_hex(hash);
}

api::AuditList audit_list(const std::vector<store::AuditEntry>& entries) {
  api::AuditList list;
  for (const auto& [number, record, chain] : entries) {
    list.records.push_back({.number = number,
                            .time = record.time.seconds(),
                            .time_ns = record.time.ns,
                            .actor = record.actor,
                            .action = record.action,
                            .target = record.target,
                            .result = record.result,
                            .chain = chain_text(chain)});
  }
  return list;
}

std::string_view kind_of(const store::AuditRecord& record) {
  if (!record.result.starts_with("ok")) return "refused";
  if (record.action == "peer.connect") return "connect";
  if (record.action == "peer.disconnect") return "disconnect";
  if (record.action == "peer.enrol") return "enrol";
  constexpr std::array<std::string_view, 4> kRevocations = {
      "peer.revoke", "peer.revoke-everywhere", "person.revoke", "person.revoke-everywhere"};
  if (std::ranges::find(kRevocations, record.action) != kRevocations.end()) return "revoke";
  return "change";
}

api::Event event_of(const store::AuditEntry& entry) {
  const store::AuditRecord& record = entry.record;
  api::Event event{.number = entry.number,
                   .time = record.time.seconds(),
                   .kind = std::string(kind_of(record)),
                   .actor = record.actor,
                   .action = record.action,
                   .target = record.target,
                   .network = {},
                   .peer = {},
                   .result = record.result};
  event.network = network_of(record.action, record.target);
  const std::string start = event.network + "/";
  if (!event.network.empty() && record.action.starts_with("peer.") &&
      record.target.starts_with(start)) {
    const std::string peer = record.target.substr(start.size());
    event.peer = peer.substr(0, peer.find(' '));
  }
  return event;
}

constexpr std::size_t kPage = 500;

/// What belongs to one network.
class OfNetwork {
 public:
  OfNetwork(const std::string& name, const store::State& state, base::WallTime now) : name_(name) {
    for (const auto& [id, stored] : state.networks) {
      if (stored.network.name == name && stored.network.created <= now) {
        made_ = stored.network.created;
      }
    }
  }
  [[nodiscard]] bool has(const store::AuditRecord& record) const {
    return record.time >= made_ && network_of(record.action, record.target) == name_;
  }

 private:
  const std::string& name_;
  base::WallTime made_{std::numeric_limits<std::int64_t>::min()};
};

}  // namespace

// "lab", "lab/laptop", "lab (3 peers)", and "8080/tcp to lab/web" of a forward. What does not look
// like this is the gateway's alone.
std::string network_of(const std::string& action, const std::string& target) {
  constexpr std::array<std::string_view, 7> kOfNetworks = {
      "network.", "peer.", "peers.", "role.", "policy.", "ca.", "certificate."};
  std::string_view rest = target;
  if (action.starts_with("forward.")) {
    const std::size_t to = target.find(" to ");
    rest = to == std::string::npos ? std::string_view() : rest.substr(to + 4);
  } else if (action != "person.revoke" &&
             std::ranges::none_of(kOfNetworks, [&](auto s) { return action.starts_with(s); })) {
    return {};
  }
  const std::string name(rest.substr(0, rest.find_first_of("/ ")));
  return model::check_network_name(name) ? name : std::string();
}

base::Result<api::AuditList> Control::audit(std::size_t limit) {
  WARREN_TRY_ASSIGN(const auto entries,
                    impl_->deps.store.audit(std::min(limit, kMaxAuditAnswer)).within("read audit"));
  return audit_list(entries);
}

base::Result<api::AuditList> Control::audit_after(std::uint64_t number, std::size_t limit) {
  WARREN_TRY_ASSIGN(
      const auto entries,
      impl_->deps.store.audit_after(number, std::min(limit, kMaxAuditAnswer)).within("read audit"));
  return audit_list(entries);
}

base::Result<api::AuditSpan> Control::audit_span() {
  WARREN_TRY_ASSIGN(const store::AuditSpan span,
                    impl_->deps.store.audit_span().within("read audit"));
  return api::AuditSpan{.before = span.before,
                        .anchor = base::to_hex(span.anchor),
                        .last = span.last,
                        .head = base::to_hex(span.head)};
}

base::Result<api::AuditList> Control::audit_of(const std::string& network, std::size_t limit) {
  const OfNetwork own(network, impl_->state, impl_->deps.clock.wall());
  WARREN_TRY_ASSIGN(const store::AuditSpan span,
                    impl_->deps.store.audit_span().within("read audit"));
  std::vector<store::AuditEntry> found;
  std::uint64_t end = span.last;
  while (end > span.before && found.size() < limit && span.last - end < kMaxAuditAnswer) {
    const std::uint64_t begin = end - std::min<std::uint64_t>(end - span.before, kPage);
    WARREN_TRY_ASSIGN(const auto entries,
                      impl_->deps.store.audit_after(begin, static_cast<std::size_t>(end - begin))
                          .within("read audit"));
    for (auto entry = entries.rbegin(); entry != entries.rend() && found.size() < limit; ++entry) {
      if (own.has(entry->record)) found.push_back(*entry);
    }
    end = begin;
  }
  for (store::AuditEntry& entry : found) entry.chain = {};
  api::AuditList list = audit_list(found);
  list.through = span.last;
  return list;
}

base::Result<api::AuditList> Control::audit_of_after(const std::string& network,
                                                     std::uint64_t number, std::size_t limit) {
  const OfNetwork own(network, impl_->state, impl_->deps.clock.wall());
  std::vector<store::AuditEntry> found;
  bool more = true;
  for (std::size_t looked = 0; more && found.size() < limit && looked < kMaxAuditAnswer;) {
    WARREN_TRY_ASSIGN(const auto entries,
                      impl_->deps.store.audit_after(number, kPage).within("read audit"));
    more = entries.size() == kPage;
    looked += entries.size();
    for (const store::AuditEntry& entry : entries) {
      if (found.size() == limit) break;
      number = entry.number;
      if (own.has(entry.record)) found.push_back(entry);
    }
  }
  for (store::AuditEntry& entry : found) entry.chain = {};
  api::AuditList list = audit_list(found);
  list.through = number;
  return list;
}

base::Result<EventPage> Control::events_after(std::uint64_t number, std::size_t limit,
                                              const std::string& network) {
  limit = std::min(limit, kMaxAuditAnswer);
  WARREN_TRY_ASSIGN(const auto entries,
                    impl_->deps.store.audit_after(number, limit).within("read the audit"));
  const OfNetwork own(network, impl_->state, impl_->deps.clock.wall());
  EventPage page{.events = {}, .through = number, .more = entries.size() >= limit};
  for (const store::AuditEntry& entry : entries) {
    page.through = entry.number;
    if (network.empty() || own.has(entry.record)) page.events.push_back(event_of(entry));
  }
  return page;
}

void Control::on_record(std::function<void()> recorded) { impl_->recorded = std::move(recorded); }

}  // namespace warren::control
