// The note about a running engine by which the next daemon finds and adopts it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"
#include "model/network.hpp"

namespace warren::gateway {

/// Where the files of one engine are. All are named after its interface.
struct EngineFiles {
  std::string record;      ///< RUN/engines/wrXXXXXXXX.json
  std::string control;     ///< RUN/engines/wrXXXXXXXX.ctl: the extension socket
  std::string log;         ///< RUN/engines/wrXXXXXXXX.log
  std::string api_socket;  ///< /var/run/wireguard/wrXXXXXXXX.sock

  [[nodiscard]] static EngineFiles of(const std::string& run_dir, model::NetworkId id);
  /// Removes all of them; true when at least one was there.
  bool remove() const;
};

/// The directory that stock WireGuard tools look in.
inline constexpr const char* kApiSocketDirectory = "/var/run/wireguard";
[[nodiscard]] std::string engine_directory(const std::string& run_dir);

/// Names a process for ever: a pid alone may be another program's by now.
struct EngineRecord {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
};
[[nodiscard]] base::Status write_record(const EngineFiles& files, const EngineRecord& record);
/// NotFound: there is none; Invalid: it is not one of ours.
[[nodiscard]] base::Result<EngineRecord> read_record(const EngineFiles& files);
/// The networks that have a record in this run directory.
[[nodiscard]] std::vector<model::NetworkId> recorded_networks(const std::string& run_dir);

struct EndedEngine {
  model::NetworkId network;
  base::Result<bool> ended;  ///< as of `end_recorded`
};
/// As `end_recorded` of each; they end at once, not one after the other.
[[nodiscard]] std::vector<EndedEngine> end_all_recorded(
    const std::string& run_dir, const std::vector<model::NetworkId>& networks);
/// Kills the engine of a record, waits until it is gone, and removes its files. True when a
/// process was ended; no record and a dead process are no errors.
[[nodiscard]] base::Result<bool> end_recorded(const std::string& run_dir, model::NetworkId id);

}  // namespace warren::gateway
