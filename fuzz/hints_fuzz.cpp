// The hints table over memory that anything may have written, beside a twin that cannot be wrong.
//
//   u8 image     0: fresh memory; 1: the bytes behind the operations become the slots of a good
//                header; 2: they are the whole memory, header included
//   u8 capacity  slots, up to kMaxCapacity
//   u8 count     of operations, four bytes each: kind, key, value, place
//
// In fresh memory the table must behave as a map until a byte is flipped; from then on, and in
// foreign memory, nothing is promised but that it stays inside its memory, and in fresh memory that
// it never makes a hint up.
#include <algorithm>
#include <map>
#include <vector>

#include "base/assert.hpp"
#include "ipc/hints.hpp"

namespace {

namespace base = warren::base;
namespace ipc = warren::ipc;

constexpr std::size_t kMaxCapacity = 24;
constexpr std::size_t kHeader = 128;

struct Operation {
  std::uint8_t kind;
  std::uint8_t key;
  std::uint8_t value;
  std::uint8_t place;
};

/// The first bytes choose the slot: few keys, many collisions.
base::PublicKey key_of(std::uint8_t key) {
  base::PublicKey out;
  out.bytes.fill(0x5a);
  out.bytes[0] = key;
  return out;
}

ipc::Hint hint_of(std::uint8_t value) {
  ipc::Hint hint;
  hint.last_sent_timestamp.fill(value);
  hint.last_accepted_timestamp.fill(static_cast<std::uint8_t>(value + 1));
  hint.last_activity.ns = std::int64_t{value} << 50;
  if (value % 3 == 1) hint.endpoint = base::Endpoint{base::IpAddress::v4(value), value, 0};
  if (value % 3 == 2) hint.endpoint = base::Endpoint{base::IpAddress::v6({value}), 1, value};
  return hint;
}

bool same(const ipc::Hint& a, const ipc::Hint& b) {
  return a.endpoint == b.endpoint && a.last_sent_timestamp == b.last_sent_timestamp &&
         a.last_accepted_timestamp == b.last_accepted_timestamp &&
         a.last_activity == b.last_activity;
}

class Checked {
 public:
  Checked(base::MutableBytes memory, ipc::HintsTable table, std::size_t capacity, bool fresh)
      : memory_(memory), table_(table), capacity_(capacity), exact_(fresh), honest_(fresh) {}

  void run(const Operation& operation) {
    const base::PublicKey key = key_of(operation.key);
    switch (operation.kind % 4) {
      case 0:
        put(key, operation.value);
        break;
      case 1:
        get(key);
        break;
      case 2:
        table_.erase(key);
        twin_.erase(key);
        if (exact_) WARREN_ASSERT(!table_.get(key));
        break;
      default:
        if (operation.value == 0) break;
        memory_[(std::size_t{operation.place} * 16 + operation.key % 16) % memory_.size()] ^=
            operation.value;
        exact_ = false;
    }
  }
  void check_all() {
    for (unsigned key = 0; key < 256; ++key) get(key_of(static_cast<std::uint8_t>(key)));
  }

 private:
  void put(const base::PublicKey& key, std::uint8_t value) {
    const bool done = table_.put(key, hint_of(value));
    if (exact_) WARREN_ASSERT(done == (twin_.contains(key) || twin_.size() < capacity_));
    if (!done) return;
    twin_[key] = value;
    ever_[key].push_back(value);
    const auto read = table_.get(key);
    WARREN_ASSERT(!exact_ || (read && same(*read, hint_of(value))));
  }
  void get(const base::PublicKey& key) {
    const auto read = table_.get(key);
    if (exact_) {
      const auto expected = twin_.find(key);
      WARREN_ASSERT(read.has_value() == (expected != twin_.end()));
      WARREN_ASSERT(!read || same(*read, hint_of(expected->second)));
    } else if (honest_ && read) {
      const auto& values = ever_[key];
      WARREN_ASSERT(std::ranges::any_of(
          values, [&](std::uint8_t value) { return same(*read, hint_of(value)); }));
    }
  }

  base::MutableBytes memory_;
  ipc::HintsTable table_;
  std::size_t capacity_;
  bool exact_;   // nothing was damaged: behaves as the twin
  bool honest_;  // every whole slot was written by the table
  std::map<base::PublicKey, std::uint8_t> twin_;
  std::map<base::PublicKey, std::vector<std::uint8_t>> ever_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::ByteReader in({data, size});
  const unsigned image = in.u8() % 3U;
  const std::size_t capacity = 1 + in.u8() % kMaxCapacity;
  std::vector<Operation> operations(in.u8());
  for (Operation& operation : operations) {
    operation = {in.u8(), in.u8(), in.u8(), in.u8()};
  }
  if (!in.ok()) return 0;
  const base::Bytes rest = in.rest();
  std::vector<std::uint8_t> memory(ipc::HintsTable::size_for(capacity));
  if (image == 2) memory.assign(rest.begin(), rest.end());
  if (image == 1) {
    std::copy_n(rest.begin(), std::min(rest.size(), memory.size() - kHeader),
                memory.begin() + kHeader);
  }
  if (image != 2) ipc::HintsTable::format(memory);
  auto table = ipc::HintsTable::open(memory);
  WARREN_ASSERT(table || image == 2);
  if (!table) return 0;
  Checked checked(memory, *table, capacity, image == 0);
  for (const Operation& operation : operations) checked.run(operation);
  checked.check_all();
  return 0;
}
