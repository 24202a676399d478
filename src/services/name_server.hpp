// NameServer: the dnsmasq of one network, from its start to its end.
//
// It runs inside the network's namespace, on the gateway's addresses there, as a user without
// privileges, and outlives this process: whoever comes next finds it by the record in its
// directory, with what it was told.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/name_zone.hpp"
#include "os/process.hpp"
#include "services/dnsmasq.hpp"

namespace warren::services {

/// The program and the account it gives itself once it listens.
struct NameServerProgram {
  std::string path;
  std::string user;
  std::string group;
  gid_t gid = 0;
  /// There is no such account in this user namespace: it stays who we are, who are nobody there.
  bool stays = false;
};
/// $WARREN_DNSMASQ, or dnsmasq where programs of administrators are. NotFound with the package.
[[nodiscard]] base::Result<NameServerProgram> find_name_server_program();

/// RUN/names/wrXXXXXXXX: what one server is told, its record and its log.
struct NameServerFiles {
  std::string directory;
  std::string configuration;
  std::string hosts;
  std::string servers;
  std::string resolv_conf;  ///< for programs inside the namespace
  std::string record;
  std::string log;
  std::string host_domain;  ///< what the host was told (host_domain.hpp)

  [[nodiscard]] static NameServerFiles of(const std::string& run_dir, model::NetworkId id);
};
[[nodiscard]] std::string name_server_directory(const std::string& run_dir);
/// The networks that have such a directory.
[[nodiscard]] std::vector<model::NetworkId> recorded_name_servers(const std::string& run_dir);
/// Ends the server of a record, waits until it is gone, undoes what the host was told, and removes
/// the directory. True when a process was ended.
[[nodiscard]] base::Result<bool> end_recorded_name_server(const std::string& run_dir,
                                                          model::NetworkId id);

class NameServer {
 public:
  NameServer(NameServerProgram program, const std::string& run_dir, model::NetworkId id,
             std::string network);
  /// The process lives on.
  ~NameServer() = default;
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

  /// Makes the server answer this zone, and ask these for other names: adopts the one that
  /// runs, replaces it when it listens elsewhere, starts one when there is none, and tells it what
  /// is new. True when `process` is another one than before.
  [[nodiscard]] base::Result<bool> serve(const model::NameZone& zone, const AskedServers& asked);
  /// Asks it once for the gateway's name, on each of its addresses.
  [[nodiscard]] base::Status answers() const;
  /// The same until it answers; says why it does not otherwise.
  [[nodiscard]] base::Status wait_until_it_answers() const;
  /// The last line that it wrote, fit for a terminal; empty: none.
  [[nodiscard]] std::string last_message() const;
  /// What the files say differs from what it was told, or from what it answers.
  [[nodiscard]] std::vector<std::string> differences() const;
  /// Ends the process, undoes what the host was told, and removes every file.
  [[nodiscard]] base::Status stop();
  /// Ends the process; `serve` starts another one.
  [[nodiscard]] base::Status end_process();

  /// Without a pidfd: none runs.
  [[nodiscard]] const os::Child& process() const { return process_; }
  /// After its end was seen: how it ended, in words.
  [[nodiscard]] std::string reap();
  [[nodiscard]] const NameServerFiles& files() const { return files_; }

 private:
  /// Each as the file of its name.
  struct Told {
    std::string configuration;
    std::string hosts;
    std::string servers;
    std::string resolv_conf;
  };
  [[nodiscard]] Told told_by(const model::NameZone& zone, const AskedServers& asked) const;
  [[nodiscard]] base::Status prepare_directory() const;
  [[nodiscard]] base::Status write_changed(const Told& next);
  [[nodiscard]] base::Status tell_to_read();
  /// True when a server with this configuration runs and is ours now.
  [[nodiscard]] bool adopt(const std::string& configuration);
  [[nodiscard]] base::Status spawn();

  NameServerProgram program_;
  NameServerFiles files_;
  std::string network_;
  os::Child process_;
  bool ours_ = false;  ///< a child of this process, to be reaped
  bool looked_for_one_ = false;
  Told told_;
  bool reads_again_ = false;  ///< a file is new that the process was not told to read
  std::vector<base::IpAddress> listen_;
  std::string domain_;
};

}  // namespace warren::services
