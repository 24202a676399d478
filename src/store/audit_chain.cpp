#include "store/audit_chain.hpp"

#include <vector>

#include "base/bytes.hpp"
#include "crypto/crypto.hpp"

namespace warren::store {

ChainHash chain_after(const ChainHash& previous, const AuditRecord& record) {
  const std::string* texts[] = {&record.actor, &record.action, &record.target, &record.result};
  std::size_t size = previous.size() + sizeof(std::int64_t);
  for (const std::string* text : texts) size += sizeof(std::uint32_t) + text->size();
  std::vector<std::uint8_t> input(size);
  base::ByteWriter writer(input);
  writer.bytes(previous).u64_be(static_cast<std::uint64_t>(record.time.ns));
  for (const std::string* text : texts) {
    writer.u32_be(static_cast<std::uint32_t>(text->size())).bytes(base::as_bytes(*text));
  }
  return crypto::sha256(input);
}

ChainCheck::ChainCheck(const AuditSpan& span)
    : span_(span), number_(span.before), hash_(span.anchor) {}

base::Status ChainCheck::add(const AuditEntry& entry) {
  const auto broken = [](std::uint64_t number, const std::string& how) {
    return base::make_error(
        base::ErrorKind::Failed, "record " + std::to_string(number) + " of the audit " + how,
        "the audit was changed behind the daemon's back: compare with a backup");
  };
  if (entry.number != number_ + 1) return broken(number_ + 1, "is missing");
  ++number_;
  hash_ = chain_after(hash_, entry.record);
  if (hash_ != entry.chain) return broken(number_, "is not what was written");
  return {};
}

base::Status ChainCheck::finish() const {
  if (number_ == span_.last && hash_ == span_.head) return {};
  return base::make_error(base::ErrorKind::Failed, "the audit ends with record " +
                                                       std::to_string(number_) + " instead of " +
                                                       std::to_string(span_.last));
}

}  // namespace warren::store
