// What a run knows about the gateway it belongs to: it hears what changes there, and a member that
// joined for this run alone leaves with it.
#pragma once

#include <string>

#include <sys/types.h>

#include "client/follow.hpp"
#include "netns/follower.hpp"

namespace warren::app {

class MemberFollower final : public netns::Follower {
 public:
  struct Options {
    client::FollowOptions follow;
    std::string peer;               ///< our name in the network
    bool temporary = false;         ///< leaves the network with the run
    bool own_dns = false;           ///< the user chose other name servers, …
    bool own_search = false;        ///< … search domains …
    bool all_routes = false;        ///< … or that everything goes to the gateway
    bool end_when_revoked = false;  ///< else the run goes on, with nobody to talk to
  };
  explicit MemberFollower(Options options);
  /// Leaves the network, in the process that owns this.
  ~MemberFollower() override;
  void set_owner(pid_t owner) override { owner_ = owner; }
  void follow(const os::Fd& supervisor) override;
  [[nodiscard]] netns::RunNews read(base::Bytes datagram) override;

 private:
  [[nodiscard]] netns::RunNews put_out(const base::Error& why);

  Options options_;
  pid_t owner_;
  bool over_ = false;
};

}  // namespace warren::app
