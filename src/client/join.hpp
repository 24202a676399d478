// Joining a network with a token: the key is made here and never leaves, the gateway is known by
// the pin in the token, the result is a profile.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "api/types.hpp"
#include "base/key.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "client/certificate_files.hpp"
#include "client/member.hpp"
#include "client/profile.hpp"
#include "model/network.hpp"

namespace warren::client {

/// Presents a key with the token's secret. When the answer is lost on the way, asks once more (the
/// token is bound to the key, so asking again is harmless). `ephemeral`: for a run, with a lease.
[[nodiscard]] base::Result<api::EnrolAnswer> enrol(const model::TokenText& token,
                                                   const base::PublicKey& key, base::WallTime now,
                                                   bool ephemeral = false);

/// The conf and note that an answer stands for. Invalid when the gateway's answer is malformed:
/// nothing it sends reaches a file unchecked.
struct Profile {
  model::WgConf conf;  ///< without the private key
  ProfileNote note;
};
/// Where a profile comes from.
struct Origin {
  std::string enrol_at;
  std::array<std::uint8_t, 32> pin{};
  std::string joined_with;
};
[[nodiscard]] Origin origin_of(const model::TokenText& token);
[[nodiscard]] base::Result<Profile> make_profile(const api::EnrolAnswer& answer,
                                                 const Origin& origin);

/// A member for the duration of a run: its key is in memory alone.
struct RunMember {
  Profile profile;  ///< with the private key
  Membership membership;
  api::EnrolAnswer answer;
};
/// A gateway that has too much to do is asked again for kBusyFor, in growing pauses; `busy` is
/// called once when that takes long. The answer to a request for a certificate (PEM) is in
/// `answer`.
[[nodiscard]] base::Result<RunMember> join_for_run(const model::TokenText& token,
                                                   base::RandomSource& random, base::WallTime now,
                                                   const std::function<void()>& busy = nullptr,
                                                   std::optional<std::string> request = {});

struct JoinOptions {
  model::TokenText token;
  std::string directory;               ///< of the profiles
  std::optional<std::string> profile;  ///< absent: the network's name
};
struct Joined {
  std::string profile;  ///< its name
  std::string conf_path;
  api::EnrolAnswer answer;
  std::optional<CertificateFiles> certificate;  ///< absent: the gateway gave none
};
/// Makes a key, stores it beside the profiles (join-ID.conf.pending, where ID is of the token),
/// enrols, writes the profile and removes the pending file. After a lost answer, or when a profile
/// of that name exists (Conflict), the pending key stays: the same token can be used again with
/// it. After a refusal it is removed. A certificate of the network's comes with it, for a key that
/// is made here, too; where it cannot be had, `warren run` asks for it later. Conflict, without
/// asking anybody, when a profile here came from this token.
[[nodiscard]] base::Result<Joined> join(const JoinOptions& options, base::RandomSource& random,
                                        base::WallTime now);

}  // namespace warren::client
