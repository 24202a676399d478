// Crew: the workers of an engine beyond the first, each on a thread of its own, parked until they
// are needed.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.hpp"
#include "engine/shared_node.hpp"
#include "engine/worker.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"
#include "os/tun.hpp"
#include "os/wakeup.hpp"

namespace warren::engine {

/// Used by one thread, the first worker's, but for what says otherwise.
class Crew {
 public:
  /// What a worker gets for its work.
  struct Kit {
    os::Fd tun;
    os::TunOffloads offloads;
    os::Fd v4;  ///< either may be absent
    os::Fd v6;
    std::uint16_t port = 0;
  };

  /// `first` is the worker of the thread that uses the crew; it outlives this.
  Crew(SharedNode& shared, Worker& first);
  /// Ends the threads.
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  /// Makes `count` parked workers. Their threads have taken their last step that a sandbox would
  /// forbid when this returns.
  [[nodiscard]] base::Status start(std::size_t count);
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] std::size_t at_work() const { return at_work_; }
  [[nodiscard]] bool has_parked() const { return at_work_ < members_.size(); }

  /// Sets the next parked worker to work.
  [[nodiscard]] base::Status dispatch(Kit kit);
  /// Parks the last that was set to work; its descriptors are closed when this returns, after what
  /// waited in them was carried.
  void recall();
  void recall_all();
  /// Waits until every worker has ended the batch that it was at. See Worker::epoch.
  [[nodiscard]] base::Status pass_epoch() const;
  /// Processor time used so far by each worker at work, in the order of dispatch.
  void append_cpu_times(std::vector<base::Duration>& out) const;
  void for_each(const std::function<void(const Worker&)>& visit) const;

 private:
  struct Member;
  void set_output(std::size_t worker, std::size_t queue);
  void link_outputs(std::size_t workers);

  SharedNode& shared_;
  Worker& first_;
  std::vector<std::unique_ptr<Member>> members_;
  std::size_t at_work_ = 0;  // the first so many members
};

}  // namespace warren::engine
