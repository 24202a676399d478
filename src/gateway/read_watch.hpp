// A descriptor watched for reading by the daemon's Asio context, without owning it.
#pragma once

#include <functional>
#include <memory>

#include "base/result.hpp"

namespace boost::asio {
class io_context;
}

namespace warren::gateway {

/// Calls a handler, on the context's thread, whenever a descriptor is readable. Ends with the
/// object or `stop`, after which the handler is never called again; stop before closing the
/// descriptor. The handler may stop or destroy its own watch.
class ReadWatch {
 public:
  ReadWatch();
  ~ReadWatch();
  ReadWatch(const ReadWatch&) = delete;
  ReadWatch& operator=(const ReadWatch&) = delete;

  [[nodiscard]] base::Status start(boost::asio::io_context& io, int descriptor,
                                   std::function<void()> handler);
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace warren::gateway
