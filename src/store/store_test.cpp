#include "store/store.hpp"

#include "store/store_contract.hpp"
#include "store/store_view.hpp"

namespace warren::store::contract {
namespace {

struct MemoryTraits {
  std::unique_ptr<Store> open() { return std::make_unique<StoreView>(store); }
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
