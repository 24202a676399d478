// Theory of operation
//
// The threads are made once, before the sandbox forbids it, and then wait in their loops: a parked
// worker costs a stack and no processor time. Each has a queue of tasks that the first worker's
// thread fills; an event descriptor wakes its loop. A task is waited for, so that everything about
// the crew happens in the order of the first worker's thread. No deadlock comes of it: a member
// waits for nobody but the holder of the node's lock, which the first worker does not hold while it
// waits.
//
// Each worker at work writes to the queue of the next, in a ring (Worker::set_output says why). The
// ring is closed anew before a queue is closed, and after one is opened.
//
// A removal is final when every worker has passed an epoch: the node has forgotten the peer before,
// so a batch that begins later cannot touch it; a batch that began earlier has ended when its
// worker's epoch has moved.
#include "engine/crew.hpp"

#include <future>
#include <system_error>

#include "os/clock.hpp"

namespace warren::engine {

struct Crew::Member {
  using Task = std::move_only_function<void()>;

  Member(std::unique_ptr<os::Loop> its_loop, os::Wakeup its_wakeup, SharedNode& shared)
      : loop(std::move(its_loop)),
        wakeup(std::move(its_wakeup)),
        // A tun that is gone is gone for the first worker, too, who ends the engine.
        worker(*loop, shared,
               {.tun_gone = [](const base::Error&) {}, .idle = [] {}, .busy = [] {}}) {}

  /// Runs `task` on the member's thread and waits for its end.
  template <typename Function>
  auto ask(Function task) {
    std::packaged_task<decltype(task())()> packaged(std::move(task));
    auto answer = packaged.get_future();
    {
      const std::lock_guard hold(mutex);
      tasks.emplace_back(std::move(packaged));
    }
    wakeup.signal();
    return answer.get();
  }

  void run_tasks() {
    wakeup.clear();
    std::deque<Task> now;
    {
      const std::lock_guard hold(mutex);
      now.swap(tasks);
    }
    for (Task& task : now) task();
  }

  std::unique_ptr<os::Loop> loop;
  os::Wakeup wakeup;
  Worker worker;
  std::mutex mutex;
  std::deque<Task> tasks;  // under mutex
  std::thread thread;
};

Crew::Crew(SharedNode& shared, Worker& first) : shared_(shared), first_(first) {}

base::Status Crew::start(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    WARREN_TRY_ASSIGN(auto loop, os::Loop::create());
    WARREN_TRY_ASSIGN(auto wakeup, os::Wakeup::create());
    auto member = std::make_unique<Member>(std::move(loop), std::move(wakeup), shared_);
    Member& self = *member;
    WARREN_TRY(
        self.loop->watch(self.wakeup.descriptor(), [&self](os::Ready) { self.run_tasks(); }));
    try {
      self.thread = std::thread([&self] { std::ignore = self.loop->run(); });
    } catch (const std::system_error& error) {
      return base::os_error("start a worker", error.code().value());
    }
    members_.push_back(std::move(member));
    self.ask([] {});  // it runs
  }
  return {};
}

Crew::~Crew() {
  for (const auto& member : members_) {
    member->ask([&member] { member->loop->stop(); });
    member->thread.join();
  }
}

base::Status Crew::dispatch(Kit kit) {
  Member& member = *members_.at(at_work_);
  const base::Status done = member.ask([&]() -> base::Status {
    Worker& worker = member.worker;
    base::Status status = worker.set_tun(std::move(kit.tun), kit.offloads);
    if (status) status = worker.set_sockets(std::move(kit.v4), std::move(kit.v6), kit.port);
    if (!status) worker.detach();
    return status;
  });
  if (!done) return done;
  ++at_work_;
  link_outputs(1 + at_work_);
  return done;
}

void Crew::recall() {
  if (at_work_ == 0) return;
  Member& member = *members_[--at_work_];
  link_outputs(1 + at_work_);  // nobody else writes to its queue any more
  set_output(1 + at_work_, 0);
  member.ask([&member] { member.worker.detach(); });
}

/// Worker 0 is the first, worker i member i - 1; queues likewise.
void Crew::set_output(std::size_t worker, std::size_t queue) {
  const Worker& owner = queue == 0 ? first_ : members_[queue - 1]->worker;
  if (worker == 0) return first_.set_output(owner.tun());
  Member& member = *members_[worker - 1];
  member.ask([&] { member.worker.set_output(owner.tun()); });
}

/// Each writes to the next one's queue, the last to the first one's.
void Crew::link_outputs(std::size_t workers) {
  for (std::size_t i = 0; i < workers; ++i) set_output(i, (i + 1) % workers);
}

void Crew::recall_all() {
  while (at_work_ > 0) recall();
}

base::Status Crew::pass_epoch() const {
  const base::Instant deadline = os::now() + kEpochPatience;
  for (const auto& member : members_) {
    const std::uint64_t epoch = member->worker.epoch();
    if (epoch % 2 == 0) continue;
    while (member->worker.epoch() == epoch) {
      if (os::now() > deadline) return base::os_error("wait for the workers", ETIMEDOUT);
      std::this_thread::yield();
    }
  }
  return {};
}

void Crew::append_cpu_times(std::vector<base::Duration>& out) const {
  for (std::size_t i = 0; i < at_work_; ++i) {
    out.push_back(os::thread_cpu_time(members_[i]->thread.native_handle()));
  }
}

void Crew::for_each(const std::function<void(const Worker&)>& visit) const {
  for (const auto& member : members_) visit(member->worker);
}

}  // namespace warren::engine
