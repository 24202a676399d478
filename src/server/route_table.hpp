// Routes by the types of their documents: decoding, encoding and the schemas come from the types.
#pragma once

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>

#include "api/json.hpp"
#include "api/schema.hpp"
#include "server/router.hpp"

namespace warren::server {

class RouteTable {
 public:
  /// `work` is called with the Call, and the decoded `Asked` unless that is void; it gives an
  /// `Answered`, a Result of one, or (for api::Empty) a Status.
  template <typename Asked, typename Answered, typename Work>
  void add(const RouteFacts& facts, Work work) {
    std::string request;
    if constexpr (!std::is_void_v<Asked>) request = api::describe<Asked>(schemas_);
    router_.add(facts, std::move(request), api::describe<Answered>(schemas_),
                [work = std::move(work)](const Call& call) -> base::Result<Outcome> {
                  if constexpr (std::is_void_v<Asked>) {
                    return outcome<Answered>(work(call));
                  } else {
                    WARREN_TRY_ASSIGN(const Asked asked, api::decode<Asked>(call.body));
                    return outcome<Answered>(work(call, asked));
                  }
                });
  }
  /// A route whose answer is events, each with an `api::Event` as its data.
  template <typename Work>
  void add_events(const RouteFacts& facts, Work work) {
    static_cast<void>(api::describe<api::Event>(schemas_));
    add_other(facts, "text/event-stream", std::move(work));
  }
  /// A route whose answer is a File of this media type.
  template <typename Work>
  void add_file(const RouteFacts& facts, std::string media_type, Work work) {
    add_other(facts, std::move(media_type), std::move(work));
  }

  [[nodiscard]] const Router& router() const { return router_; }
  [[nodiscard]] Router take_router() && { return std::move(router_); }
  [[nodiscard]] const api::DocumentSchemas& schemas() const { return schemas_; }

 private:
  template <typename Work>
  void add_other(const RouteFacts& facts, std::string media_type, Work work) {
    router_.add(facts, {}, std::move(media_type),
                [work = std::move(work)](const Call& call) -> base::Result<Outcome> {
                  auto given = work(call);
                  if (!given) return base::Error(given.error());
                  return Outcome(std::move(*given));
                });
  }

  template <typename Answered, typename Given>
  static base::Result<Outcome> outcome(const Given& given) {
    if constexpr (std::same_as<Given, base::Status>) {
      static_assert(std::same_as<Answered, api::Empty>);
      if (!given) return base::Error(given.error());
      return Outcome(api::encode(api::Empty{}));
    } else if constexpr (std::same_as<Given, Answered>) {
      return Outcome(api::encode(given));
    } else {
      static_assert(std::same_as<Given, base::Result<Answered>>);
      if (!given) return base::Error(given.error());
      return Outcome(api::encode(*given));
    }
  }

  Router router_;
  api::DocumentSchemas schemas_;
};

}  // namespace warren::server
