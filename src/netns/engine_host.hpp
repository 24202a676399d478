// EngineHost: the supervisor's care for its engine: descriptors, configuration, restart.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "ipc/opener.hpp"
#include "netns/recent_ends.hpp"
#include "netns/run.hpp"
#include "netns/tunnel.hpp"
#include "netns/udp_pair.hpp"
#include "os/file.hpp"
#include "os/loop.hpp"
#include "os/process.hpp"

namespace warren::netns {

class EngineHost final : public Tunnel {
 public:
  /// `loop` and `config` outlive this. `configured` is called once, when the first engine has
  /// accepted its configuration; `failed` once, when there is no hope.
  EngineHost(os::Loop& loop, const RunConfig& config, std::string api_path, Configured configured,
             Failed failed);
  ~EngineHost() override;

  /// Opens the UDP sockets and the API socket and starts the first engine.
  [[nodiscard]] base::Status start() override;
  /// The tun, once init has made it; an engine may have asked for it already.
  void handle_tun(os::Fd tun) override;
  void update(const std::vector<ipc::UapiPeer>& peers) override;
  /// A notice of the opener's protocol, for the engine that runs, if any.
  void notify(const ipc::OpenerBody& notice);
  /// Where the engine listens, of both families.
  [[nodiscard]] std::uint16_t port() const { return udp_.port; }
  /// Tells the engine to end and waits for it, within a limit.
  void stop();

 private:
  [[nodiscard]] base::Status prepare_hints();
  [[nodiscard]] base::Status spawn();
  void drop_engine();
  void handle_opener();
  void handle_end();
  void give_up(base::Error error);
  [[nodiscard]] base::Status answer(const ipc::OpenerMessage& question);
  [[nodiscard]] base::Status greet();
  [[nodiscard]] base::Status open_udp(std::uint32_t sequence, const ipc::OpenUdp& wanted);
  [[nodiscard]] base::Status reply(std::uint32_t sequence, const ipc::OpenerBody& body,
                                   const std::vector<const os::Fd*>& descriptors = {});
  [[nodiscard]] base::Status configure();
  [[nodiscard]] base::Status ask_api(std::string request);
  void handle_api(os::Ready ready);
  void finish_api(base::Status result);

  os::Loop& loop_;
  const RunConfig& config_;
  std::string api_path_;
  Configured configured_;
  Failed failed_;

  os::Fd tun_;
  os::Fd api_listener_;
  os::Fd hints_;
  UdpPair udp_;

  std::optional<os::Child> engine_;
  os::Fd opener_;
  std::optional<std::uint32_t> waiting_hello_;
  os::Fd api_;
  std::string api_request_;  ///< what is still to be sent; wiped as it goes
  std::size_t api_sent_ = 0;
  std::string api_answer_;
  std::string next_request_;  ///< an update that came while another one was under way
  os::Loop::TimerId start_timer_ = 0;
  bool ever_configured_ = false;
  RecentEnds ends_;
};

}  // namespace warren::netns
