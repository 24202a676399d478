// A Store that hands everything to another one: for tests that open the same store again, or that
// let some of its calls fail.
#pragma once

#include "store/store.hpp"

namespace warren::store {

class StoreView : public Store {
 public:
  explicit StoreView(Store& store) : store_(store) {}
  base::Result<State> load() override { return store_.load(); }
  base::Status commit(const std::vector<Change>& changes, const AuditRecord& record) override {
    return store_.commit(changes, record);
  }
  base::Result<std::vector<AuditEntry>> audit(std::size_t limit) override {
    return store_.audit(limit);
  }
  base::Result<AuditSpan> audit_span() override { return store_.audit_span(); }
  base::Result<std::vector<AuditEntry>> audit_after(std::uint64_t number,
                                                    std::size_t limit) override {
    return store_.audit_after(number, limit);
  }
  base::Result<std::uint64_t> forget_audit(base::WallTime time) override {
    return store_.forget_audit(time);
  }

 private:
  Store& store_;
};

}  // namespace warren::store
