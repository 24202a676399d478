#include "store/store.hpp"

#include "store/store_contract.hpp"

namespace warren::store::contract {
namespace {

/// A view of one MemoryStore, so that "opening again" finds the same storage.
class Shared final : public Store {
 public:
  explicit Shared(MemoryStore& store) : store_(store) {}
  base::Result<State> load() override { return store_.load(); }
  base::Status commit(const std::vector<Change>& changes, const AuditRecord& record) override {
    return store_.commit(changes, record);
  }
  base::Result<std::vector<AuditRecord>> audit(std::size_t limit) override {
    return store_.audit(limit);
  }

 private:
  MemoryStore& store_;
};

struct MemoryTraits {
  std::unique_ptr<Store> open() { return std::make_unique<Shared>(store); }
  MemoryStore store;
};
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreContract, MemoryTraits);

TEST(MemoryStore, FailsWhenTold) {
  MemoryStore store;
  store.fail_with(base::make_error(base::ErrorKind::Failed, "disk full"));
  EXPECT_EQ(store.commit({PutNetwork{network(1, "a")}}, record("x")).error().message, "disk full");
  store.fail_with(std::nullopt);
  EXPECT_EQ(*store.load(), State{});
  EXPECT_TRUE(store.audit(9)->empty());
}

}  // namespace
}  // namespace warren::store::contract
