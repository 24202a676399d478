#include "gateway/engine_record.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <optional>
#include <span>

#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "gateway/limits.hpp"
#include "os/file.hpp"
#include "os/process.hpp"

namespace warren::gateway {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kRecordBytes = 4096;
constexpr std::string_view kInterfacePrefix = "wr";
constexpr std::size_t kIdDigits = 8;

}  // namespace

std::string engine_directory(const std::string& run_dir) { return run_dir + "/engines"; }

EngineFiles EngineFiles::of(const std::string& run_dir, model::NetworkId id) {
  const std::string name = id.interface_name();
  const std::string base = engine_directory(run_dir) + "/" + name;
  return {.record = base + ".json",
          .control = base + ".ctl",
          .log = base + ".log",
          .api_socket = std::string(kApiSocketDirectory) + "/" + name + ".sock"};
}

bool EngineFiles::remove() const {
  bool any = false;
  for (const std::string& path : {record, control, api_socket, log, log + ".1"}) {
    std::error_code ignored;
    any = fs::remove(path, ignored) || any;
  }
  return any;
}

base::Status write_record(const EngineFiles& files, const EngineRecord& record) {
  const nlohmann::json document = {{"pid", record.pid}, {"start_time", record.start_time}};
  return os::write_file_atomically(files.record, document.dump() + "\n", 0600);
}

base::Result<EngineRecord> read_record(const EngineFiles& files) {
  WARREN_TRY_ASSIGN(const std::string text, os::read_file(files.record, kRecordBytes));
  const auto document = nlohmann::json::parse(text, nullptr, false);
  const auto invalid = [&files] {
    return base::make_error(base::ErrorKind::Invalid, files.record + " is not an engine's record");
  };
  if (!document.is_object() || !document.contains("pid") || !document.contains("start_time"))
    return invalid();
  const auto& pid = document.at("pid");
  const auto& start_time = document.at("start_time");
  if (!pid.is_number_unsigned() || !start_time.is_number_unsigned()) return invalid();
  const auto number = pid.get<std::uint64_t>();
  constexpr std::uint64_t kMaxPid = 1 << 22;
  if (number < 2 || number > kMaxPid) return invalid();
  return EngineRecord{static_cast<pid_t>(number), start_time.get<std::uint64_t>()};
}

std::vector<model::NetworkId> recorded_networks(const std::string& run_dir) {
  std::vector<model::NetworkId> out;
  std::error_code error;
  for (fs::directory_iterator at(engine_directory(run_dir), error), end; !error && at != end;
       at.increment(error)) {
    const fs::path& path = at->path();
    const std::string stem = path.stem().string();
    if (path.extension() != ".json" || !stem.starts_with(kInterfacePrefix)) continue;
    std::array<std::uint8_t, kIdDigits / 2> raw{};
    if (!base::parse_hex(stem.substr(kInterfacePrefix.size()), raw)) continue;
    out.push_back({base::ByteReader(raw).u32_be()});
  }
  std::sort(out.begin(), out.end());
  return out;
}

namespace {

/// The killed process of a record; nullopt: none was running.
base::Result<std::optional<os::Fd>> kill_recorded(const EngineFiles& files, model::NetworkId id) {
  const auto record = read_record(files);
  if (!record) return std::optional<os::Fd>();
  auto process = os::open_pidfd(record->pid, record->start_time);
  if (process) {
    WARREN_TRY(os::send_signal(*process, SIGKILL).within("end engine " + id.interface_name()));
    return std::optional(std::move(*process));
  }
  const bool gone =
      process.error().kind == base::ErrorKind::NotFound || process.error().os_errno == ESRCH;
  if (!gone) return std::move(process).error();
  return std::optional<os::Fd>();
}

/// Waits for the end of what was killed, then removes the files.
base::Result<bool> finish_recorded(const EngineFiles& files, model::NetworkId id,
                                   const base::Result<std::optional<os::Fd>>& killed) {
  if (!killed) return killed.error();
  if (*killed) {
    WARREN_TRY_ASSIGN(const bool gone, os::wait_readable(**killed, kEngineStop));
    if (!gone)
      return base::make_error(base::ErrorKind::Failed,
                              "end engine " + id.interface_name() + ": its process does not end");
  }
  files.remove();
  return killed->has_value();
}

}  // namespace

std::vector<EndedEngine> end_all_recorded(const std::string& run_dir,
                                          const std::vector<model::NetworkId>& networks) {
  std::vector<EndedEngine> out;
  std::vector<base::Result<std::optional<os::Fd>>> killed;
  for (std::size_t first = 0; first < networks.size(); first += kEnginesEndedTogether) {
    const auto some = std::span(networks).subspan(
        first, std::min(kEnginesEndedTogether, networks.size() - first));
    killed.clear();
    for (const model::NetworkId id : some)
      killed.push_back(kill_recorded(EngineFiles::of(run_dir, id), id));
    for (std::size_t at = 0; at < some.size(); ++at)
      out.push_back(
          {some[at], finish_recorded(EngineFiles::of(run_dir, some[at]), some[at], killed[at])});
  }
  return out;
}

base::Result<bool> end_recorded(const std::string& run_dir, model::NetworkId id) {
  return std::move(end_all_recorded(run_dir, {id}).front().ended);
}

}  // namespace warren::gateway
