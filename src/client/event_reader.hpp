// Server-sent events, from bytes as they come to documents. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/types.hpp"
#include "base/result.hpp"

namespace warren::client {

class EventReader {
 public:
  explicit EventReader(std::function<bool(const api::Event&)> heard) : heard_(std::move(heard)) {}
  /// False when no more is wanted, or when this is no stream of events.
  bool take(std::string_view bytes);
  /// Behind which event the stream goes on; nullopt: it has not said.
  [[nodiscard]] std::optional<std::uint64_t> position() const { return position_; }
  /// What was wrong with the stream.
  [[nodiscard]] base::Status problem() const;

 private:
  bool take_line(std::string_view line);
  bool finish_event();

  std::function<bool(const api::Event&)> heard_;
  std::string line_;
  std::string data_;
  std::optional<std::uint64_t> position_;
  std::optional<base::Error> problem_;
};

}  // namespace warren::client
