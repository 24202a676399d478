// Theory of operation
//
// A loop of long-lived requests (client::sync): each answers at once when something is new, else
// after a while that is a third of the lease, so that two may be lost. Between a failure and the
// next attempt the wait doubles; the listener's end of file cuts every wait but that of a request,
// and a listener that dies takes this process along (its parent sets the parent-death signal).
//
// A gateway that moved is found by its name, which is looked up at each attempt. The engine gets
// another address only when its name no longer leads to the one it was told: what a session found
// out by itself (roaming) is better than what a name says.
//
// A certificate is renewed by the same requests: before each one what lies on the disk is looked
// at, and where it is not good any more (two thirds of its life, another name, another authority)
// a request for a new one goes along.
//
// A profile on disk is written before the listener is told. Of its conf only what the gateway
// decides is replaced, and only when the gateway's word changed: edits of the user's stay until
// then. A directory that cannot be written keeps the old profile; the run is told all the same.
#include "client/follow.hpp"

#include <algorithm>
#include <utility>

#include "api/json.hpp"
#include "client/join.hpp"
#include "client/limits.hpp"
#include "client/profile.hpp"
#include "model/conf_key.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

namespace warren::client {

namespace {

constexpr char kState = 'S';
constexpr char kOver = 'E';
constexpr char kMoved = 'M';

class Follow {
 public:
  Follow(FollowOptions options, const os::Fd& listener)
      : options_(std::move(options)), listener_(listener) {
    if (options_.profile.empty()) return;
    if (!options_.certificate) {
      options_.certificate = certificate_files(options_.directory, options_.profile);
    }
    const auto note = read_note(options_.directory, options_.profile);
    if (options_.peer.empty() && note && *note) options_.peer = (*note)->peer;
  }
  void run();

 private:
  [[nodiscard]] base::Duration longest_wait() const;
  [[nodiscard]] bool pause(base::Duration time) const;
  void take(const api::MemberState& state);
  [[nodiscard]] std::optional<std::string> certificate_request() const;
  void take_certificate(const api::EnrolAnswer& answer);
  [[nodiscard]] std::string endpoint_text() const;
  void tell_state(const api::MemberState& state);
  void tell_moved();
  void tell_over(const base::Error& error);
  /// True when the endpoint's name leads elsewhere now.
  bool look_up_again();
  void keep_profile(const api::MemberState& state) const;
  void send(const std::string& text);

  FollowOptions options_;
  const os::Fd& listener_;
  bool listened_ = true;
  base::Instant next_request_{};  ///< for a certificate; not before
  std::string authorities_;       ///< as the gateway told them last
};

base::Duration Follow::longest_wait() const {
  if (!options_.lease_s) return kSyncWait;
  return std::min<base::Duration>(kSyncWait, std::chrono::seconds(*options_.lease_s) / 3);
}

/// False when nobody listens any more.
bool Follow::pause(base::Duration time) const {
  return !os::wait_readable(listener_, time).value_or(true);
}

void Follow::run() {
  base::Duration retry = kFirstRetry;
  while (listened_ && pause(base::Duration(0))) {
    const base::Instant asked = os::now();
    const auto request = certificate_request();
    // Whatever comes of it: a gateway that gives none is not asked all the time.
    if (request) next_request_ = asked + kCertificatePause;
    const auto answer = sync(options_.member, options_.revision,
                             request ? base::Duration(0) : longest_wait(), request);
    if (answer) {
      retry = kFirstRetry;
      take_certificate(answer->profile);
      const bool changed = answer->revision != options_.revision;
      if (changed) take(*answer);
      const bool moved = look_up_again();
      if (changed) {
        tell_state(*answer);
      } else if (moved) {
        tell_moved();
      }
      // Answered early for no reason: somebody else asks with our key, or too many wait.
      const bool early = !changed && !request && os::now() - asked < longest_wait() / 2;
      // Each change is written to the disk, and the run told.
      const base::Duration calm =
          std::max(kChangePause - (os::now() - asked), base::Duration::zero());
      const base::Duration rest = !early ? calm : answer->come_back ? kComeBack : kEarlyPause;
      if (!pause(std::min(rest, longest_wait()))) return;
      continue;
    }
    if (answer.error().final) return tell_over(answer.error().error);
    if (look_up_again()) tell_moved();
    if (!pause(std::min(retry, longest_wait()))) return;
    retry = std::min(retry * 2, kLastRetry);
  }
}

void Follow::take(const api::MemberState& state) {
  options_.revision = state.revision;
  if (state.profile.endpoint != options_.endpoint) {
    options_.endpoint = state.profile.endpoint;
    options_.endpoint_address = {};
  }
  if (const auto at = base::HostPort::parse(state.enrol_at); at && at->port != 0) {
    options_.member.gateway.at = *at;
  }
  keep_profile(state);
}

std::optional<std::string> Follow::certificate_request() const {
  if (!options_.certificate || options_.peer.empty() || os::now() < next_request_) return {};
  auto request = needed_request(*options_.certificate, options_.peer, os::wall_now());
  return request ? std::move(*request) : std::nullopt;
}

void Follow::take_certificate(const api::EnrolAnswer& answer) {
  if (!options_.certificate) return;
  const bool renamed = std::exchange(options_.peer, answer.name) != answer.name;
  const bool rolled = answer.authorities && *answer.authorities != authorities_;
  if (answer.authorities) authorities_ = *answer.authorities;
  // A reason that was not there when it was asked last.
  if (renamed || rolled) next_request_ = {};
  std::ignore = keep_certificate(*options_.certificate, answer);
}

bool Follow::look_up_again() {
  const auto at = base::HostPort::parse(options_.endpoint);
  if (!at) return false;
  const auto found = look_up(*at);
  if (!found || found->empty()) return false;
  if (std::ranges::find(*found, options_.endpoint_address) != found->end()) return false;
  options_.endpoint_address = found->front();
  return true;
}

std::string Follow::endpoint_text() const {
  const auto at = base::HostPort::parse(options_.endpoint);
  const bool known = options_.endpoint_address != base::IpAddress{};
  return at && known ? base::Endpoint{options_.endpoint_address, at->port, 0}.to_string()
                     : std::string();
}

void Follow::tell_state(const api::MemberState& state) {
  send(std::string(1, kState) + endpoint_text() + '\n' + api::encode(state));
}

void Follow::tell_moved() { send(std::string(1, kMoved) + endpoint_text()); }

void Follow::tell_over(const base::Error& error) {
  send(std::string(1, kOver) + api::encode_error(error));
}

void Follow::send(const std::string& text) {
  if (!os::send_message(listener_, base::as_bytes(text))) listened_ = false;
}

void Follow::keep_profile(const api::MemberState& state) const {
  if (options_.profile.empty()) return;
  const auto note = read_note(options_.directory, options_.profile);
  const ProfilePaths paths = profile_paths(options_.directory, options_.profile);
  auto text = os::read_file(paths.conf, model::kMaxConfBytes);
  if (!note || !*note || !text) return;
  auto conf = model::WgConf::parse(*text, paths.conf);
  const auto now = make_profile(
      state.profile,
      {.enrol_at = state.enrol_at, .pin = (*note)->pin, .joined_with = (*note)->joined_with});
  if (conf && now && conf->peers.size() == 1) {
    conf->interface.addresses = now->conf.interface.addresses;
    conf->interface.dns_servers = now->conf.interface.dns_servers;
    conf->interface.dns_search = now->conf.interface.dns_search;
    conf->interface.mtu = now->conf.interface.mtu;
    conf->peers[0].allowed_ips = now->conf.peers[0].allowed_ips;
    conf->peers[0].endpoint = now->conf.peers[0].endpoint;
    ProfileNote next = now->note;
    next.revision = state.revision;
    std::string content = conf->write();
    // The note last: it says which revision the conf is of.
    if (content == *text || os::write_file_atomically(paths.conf, content, 0600)) {
      std::ignore = os::write_file_atomically(paths.note, next.write(), 0600);
    }
    model::wipe_text(content);
  }
  model::wipe_text(*text);
}

}  // namespace

void follow(FollowOptions options, const os::Fd& listener) {
  Follow(std::move(options), listener).run();
}

base::Result<Heard> read_heard(base::Bytes datagram) {
  const std::string_view text(reinterpret_cast<const char*>(datagram.data()), datagram.size());
  Heard heard;
  if (text.starts_with(kOver)) {
    heard.over = api::decode_error(text.substr(1));
    if (heard.over) return heard;
  }
  const std::size_t line = std::min(text.find('\n'), text.size());
  if (text.starts_with(kState) || text.starts_with(kMoved)) {
    heard.endpoint = base::Endpoint::parse(text.substr(1, line - 1));
    if (heard.endpoint && text[0] == kMoved) return heard;
  }
  if (text.starts_with(kState) && line < text.size()) {
    WARREN_TRY_ASSIGN(heard.state, api::decode<api::MemberState>(text.substr(line + 1)));
    return heard;
  }
  return base::make_error(base::ErrorKind::Internal, "a follower said what cannot be read");
}

}  // namespace warren::client
