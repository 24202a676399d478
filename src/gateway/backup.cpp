// Theory of operation
//
// A backup holds what cannot be made again: the database, the identity key that every token and
// member pins, the id that this gateway's objects carry, the settings. Every other file of the
// state directory goes along, so that what a later version keeps there is not forgotten.
//
// A restored state is made in a directory of its own beside the place where it shall be, looked at
// there, written through to the disk, and then takes that place in one step of the file system.
// What was there has the other name afterwards. Settings come last and each by itself: they are
// written only where there are none, since what stands in /etc may be somebody's work. The lock of
// the new state is held all the while, so that no daemon starts in between.
//
// On the host that the backup is of, engines and kernel objects may live on; the next daemon finds
// them by the id and makes them what the state says. The record of the host's former settings is of
// the host, not of the backup: it stays when the state is of the same gateway.
#include "gateway/backup.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include "gateway/limits.hpp"
#include "gateway/state_directory.hpp"
#include "os/directory.hpp"
#include "os/file.hpp"

namespace warren::gateway {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::string_view kDatabase = "warren.db";
constexpr std::string_view kIdentity = "identity.key";
constexpr std::string_view kInstance = "instance";
constexpr std::string_view kSettings = "settings/";
constexpr std::string_view kHostRecords = "host.json";
constexpr std::string_view kStaging = ".restoring";
/// In a directory that a restore is still filling.
constexpr std::string_view kUnfinished = "restore-unfinished";
/// Of this host, or of a running daemon.
constexpr std::array<std::string_view, 6> kLeftOut = {
    "lock", "host.json", "warren.db-wal", "warren.db-shm", "warren.db-journal", kUnfinished};

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

/// The regular files of a directory, by name; none when there is no such directory.
std::vector<std::string> files_of(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (fs::is_regular_file(at->symlink_status())) names.push_back(at->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

base::Status add_file(const std::string& path, std::string name, backup::Contents& out) {
  if (!backup::is_good_name(name) || out.files.size() >= backup::kMaxFiles) {
    return make_error(ErrorKind::Invalid, path + " cannot be put into a backup",
                      "nothing of warren's has such a name: move it elsewhere");
  }
  WARREN_TRY_ASSIGN(std::string text, os::read_file(path, kBackupFileBytes));
  out.files.push_back({.name = std::move(name), .content = std::move(text)});
  return {};
}

/// Where a file of the settings belongs.
std::string settings_path(const std::string& settings_file, const std::string& name) {
  const fs::path main = settings_file;
  const std::string below = name.substr(kSettings.size());
  return (below.starts_with("conf.d/") ? main.parent_path() / below : main).string();
}

base::Status check_complete(const backup::Contents& contents) {
  for (const std::string_view needed : {kDatabase, kIdentity, kInstance}) {
    if (contents.find(needed) != nullptr) continue;
    return make_error(ErrorKind::Invalid, "the backup lacks " + std::string(needed),
                      "it is of no gateway");
  }
  for (const backup::File& file : contents.files) {
    const bool settings =
        file.name == "settings/warren.yaml" || file.name.starts_with("settings/conf.d/");
    const bool of_host = std::ranges::find(kLeftOut, file.name) != kLeftOut.end();
    if (settings || (!of_host && file.name.find('/') == std::string::npos)) continue;
    return make_error(ErrorKind::Invalid,
                      "the backup holds " + file.name + ", which no backup has");
  }
  return {};
}

/// Whether there is anything that a restore would replace.
bool holds_a_state(const std::string& directory) {
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename() != "lock") return true;
  }
  return false;
}

std::string instance_of(const std::string& directory) {
  auto text = os::read_file(directory + "/" + std::string(kInstance), kBackupFileBytes);
  return text ? *text : std::string();
}

/// What a restore that was interrupted was filling beside the state directory. A former state that
/// it had not yet given its name is no such thing.
void remove_leftovers(const std::string& state_dir) {
  const fs::path place = state_dir;
  const std::string prefix = place.filename().string() + std::string(kStaging) + ".";
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator at(place.parent_path(), error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().filename().string().starts_with(prefix)) found.push_back(at->path());
  }
  for (const fs::path& path : found) {
    if (!fs::exists(path / kUnfinished, error)) continue;
    if (const auto unused = os::lock_file((path / "lock").string())) fs::remove_all(path, error);
  }
}

/// A new state beside the old one; removed unless it took its place.
class Staging {
 public:
  static base::Result<Staging> create(const std::string& state_dir) {
    const fs::path parent = fs::path(state_dir).parent_path();
    if (!parent.empty()) WARREN_TRY(os::make_directories(parent.string(), 0755));
    WARREN_TRY_ASSIGN(std::string path,
                      os::make_directory_beside(state_dir + std::string(kStaging)));
    Staging made(path);
    WARREN_TRY_ASSIGN(made.lock_, os::lock_file(path + "/lock"));
    WARREN_TRY(os::write_file_atomically(path + "/" + std::string(kUnfinished), "", 0600));
    return made;
  }
  Staging(Staging&&) = default;
  Staging& operator=(Staging&&) = delete;
  ~Staging() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// The directory has another owner now.
  void release() { path_.clear(); }

 private:
  explicit Staging(std::string path) : path_(std::move(path)) {}
  std::string path_;
  os::Fd lock_;
};

base::Status fill(const Staging& staging, const backup::Contents& contents) {
  for (const backup::File& file : contents.files) {
    const std::string path = staging.path() + "/" + file.name;
    const std::size_t slash = path.rfind('/');
    WARREN_TRY(os::make_directories(path.substr(0, slash), 0700));
    WARREN_TRY(os::write_file_atomically(path, file.content, 0600));
  }
  return {};
}

base::Status install_settings(const backup::Contents& contents, const RestoreTarget& target,
                              Restored& report) {
  for (const backup::File& file : contents.files) {
    if (!file.name.starts_with(kSettings)) continue;
    const std::string path = settings_path(target.settings_file, file.name);
    const auto present = os::read_file(path, kBackupFileBytes);
    if (present && *present == file.content) continue;
    if (present || present.error().kind != ErrorKind::NotFound) {
      report.kept_settings.push_back(path);
      continue;
    }
    WARREN_TRY(os::make_directories(fs::path(path).parent_path().string(), 0755));
    WARREN_TRY(os::write_file_atomically(path, file.content, 0644));
    report.settings.push_back(path);
  }
  return {};
}

}  // namespace

base::Result<backup::Contents> gather_backup(const BackupSource& source) {
  const std::string directory = without_slash(source.state_dir);
  backup::Contents out{.made = source.now, .program = source.program, .files = {}};
  WARREN_TRY_ASSIGN(std::string database,
                    source.snapshot(directory + "/" + std::string(kDatabase)));
  out.files.push_back({.name = std::string(kDatabase), .content = std::move(database)});
  for (const std::string& name : files_of(directory)) {
    if (name == kDatabase || std::ranges::find(kLeftOut, name) != kLeftOut.end()) continue;
    const base::Status added = add_file(directory + "/" + name, name, out);
    // One that was being written to replace another is gone by now.
    if (!added && added.error().kind != ErrorKind::NotFound) return added.error();
  }
  std::error_code error;
  if (fs::exists(source.settings_file, error)) {
    WARREN_TRY(add_file(source.settings_file, "settings/warren.yaml", out));
  }
  const std::string drop_ins = (fs::path(source.settings_file).parent_path() / "conf.d").string();
  for (const std::string& name : files_of(drop_ins)) {
    if (!name.ends_with(".yaml")) continue;
    WARREN_TRY(add_file(drop_ins + "/" + name, "settings/conf.d/" + name, out));
  }
  WARREN_TRY(check_complete(out));
  return out;
}

base::Result<Restored> restore_backup(const backup::Contents& contents,
                                      const RestoreTarget& target) {
  const std::string place = without_slash(target.state_dir);
  WARREN_TRY(check_complete(contents));
  std::error_code error;
  const bool exists = fs::exists(place, error);
  os::Fd former_lock;
  if (exists) {
    WARREN_TRY_ASSIGN(former_lock, os::lock_file(place + "/lock").within("use " + place));
  }
  const bool occupied = exists && holds_a_state(place);
  if (occupied && !target.force) {
    return make_error(ErrorKind::Conflict, place + " holds a state already",
                      "name another directory with --state-dir, or give --force: what is there is "
                      "kept beside it");
  }
  fs::remove(fs::path(place) / kUnfinished, error);  // of a restore that ended just behind its end
  remove_leftovers(place);
  WARREN_TRY_ASSIGN(Staging staging, Staging::create(place));
  WARREN_TRY(fill(staging, contents));
  WARREN_TRY(target.inspect(staging.path() + "/" + std::string(kDatabase)));
  Restored report;
  if (occupied) {
    report.other_instance = instance_of(place) != instance_of(staging.path());
    const std::string records = place + "/" + std::string(kHostRecords);
    if (!report.other_instance && fs::exists(records)) {
      WARREN_TRY_ASSIGN(const std::string text, os::read_file(records, kBackupFileBytes));
      WARREN_TRY(
          os::write_file_atomically(staging.path() + "/" + std::string(kHostRecords), text, 0600));
    }
  }
  WARREN_TRY(os::sync_tree(staging.path()));
  const std::string former = staging.path();
  if (base::Status taken = os::take_place_of(former, place); !taken) {
    return std::move(taken).error().with_hint(
        "nothing was changed; a mount point, and what some file systems hold, cannot be exchanged: "
        "restore beside it and move it there");
  }
  fs::remove(fs::path(place) / kUnfinished, error);
  if (occupied) {
    report.aside = place + ".before-restore";
    for (unsigned n = 2; fs::exists(report.aside); ++n) {
      report.aside = place + ".before-restore-" + std::to_string(n);
    }
    fs::rename(former, report.aside, error);
    if (error) report.aside = former;  // it keeps the name that it has
    staging.release();
  }
  WARREN_TRY(install_settings(contents, target, report).within("the state is restored, but"));
  const std::string copy = place + "/settings";
  if (report.kept_settings.empty()) {
    fs::remove_all(copy, error);
  } else {
    report.settings_copy = copy;
  }
  return report;
}

}  // namespace warren::gateway
