#include "server/enrolment.hpp"

#include <optional>

#include "api/json.hpp"
#include "os/clock.hpp"

namespace warren::server {
namespace {

/// What this connection is known by, to both ends and to nobody else.
pki::Binding binding_of(TlsStream& stream) {
  pki::Binding binding{};
  const int made = SSL_export_keying_material(stream.native_handle(), binding.data(),
                                              binding.size(), pki::kMemberExporter.data(),
                                              pki::kMemberExporter.size(), nullptr, 0, 0);
  if (made != 1) binding = {};
  return binding;
}

/// One TLS connection: of a stranger until it has proved to be a member.
class Guest {
 public:
  Guest(SharedPtr shared, TlsStream& stream, const base::IpAddress& source)
      : shared_(std::move(shared)),
        stream_(stream),
        source_(source),
        place_(shared_->enrol_places, source, shared_->options.limits.enrol_connections_per_source,
               [this] { stream_.next_layer().close(); }) {}
  [[nodiscard]] bool granted() const { return place_.granted(); }
  asio::awaitable<Response> answer(Request request);

 private:
  asio::awaitable<Response> sync(std::string body);
  void become_member(const control::Member& member);

  SharedPtr shared_;
  TlsStream& stream_;
  base::IpAddress source_;
  Place place_;
};

asio::awaitable<Response> Guest::answer(Request request) {
  if (shared_->stopped) co_return stopping();
  const bool of_member = request.target.starts_with("/v1/member/");
  RateLimit& rate = of_member ? shared_->member_rate : shared_->enrolment_rate;
  if (!rate.allow(source_, os::now())) co_return too_many();
  if (request.method == "POST" && request.target == "/v1/member/sync") {
    co_return co_await sync(std::move(request.body));
  }
  request.binding = binding_of(stream_);
  Response response = shared_->enrol.handle(request);
  // Those who guess are held back, not a batch system that starts a thousand jobs from one address.
  const bool admitted = of_member || request.target == "/v1/enrol";
  if (response.status == 200 && admitted)
    (of_member ? shared_->connection_rate : rate).give_back(source_);
  co_return response;
}

void Guest::become_member(const control::Member& member) {
  if (place_.is_known()) return;
  const Limits& limits = shared_->options.limits;
  place_.become_known(std::to_string(member.peer.value), limits.connections_per_member,
                      limits.member_connections);
  if (place_.is_known()) shared_->connection_rate.give_back(source_);
}

asio::awaitable<Response> Guest::sync(std::string body) {
  const auto wanted = api::decode<api::MemberRequest>(body);
  if (!wanted) co_return error_response(wanted.error());
  const auto member = shared_->control.find_member(*wanted, binding_of(stream_));
  if (!member) co_return error_response(member.error());
  become_member(*member);
  const Limits& limits = shared_->options.limits;
  const base::Instant deadline =
      os::now() +
      std::min<base::Duration>(std::chrono::seconds(wanted->wait_s), limits.longest_wait);
  std::string certificate;
  if (wanted->certificate_request) {
    auto issued = shared_->control.issue_certificate(*member, *wanted->certificate_request);
    if (!issued) co_return error_response(issued.error());
    certificate = std::move(*issued);
  }
  bool replaced = false;
  while (true) {
    auto state = shared_->control.member_state(*member);
    if (!state) co_return error_response(state.error());
    const bool full = !place_.is_known() || shared_->waiting.size() >= limits.waiting_members;
    const bool over = replaced || wanted->certificate_request || os::now() >= deadline;
    if (over || full || state->revision != wanted->revision) {
      state->come_back = full && !over;
      if (!certificate.empty()) state->profile.certificate = certificate;
      co_return Response{.body = api::encode(*state)};
    }
    replaced =
        !co_await shared_->waiting.wait(stream_.get_executor(), *member, deadline - os::now());
    if (shared_->stopped) co_return stopping();
  }
}

}  // namespace

asio::awaitable<void> serve_enrolment(SharedPtr shared, tcp::socket socket) {
  beast::error_code error;
  const tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) co_return;
  const base::IpAddress source = source_of(address_of(remote));
  const std::shared_ptr<asio::ssl::context> tls = shared->tls;
  TlsStream stream(beast::tcp_stream(std::move(socket)), *tls);
  Guest guest(shared, stream, source);
  if (!guest.granted() || !shared->connection_rate.allow(source, os::now())) co_return;
  stream.next_layer().expires_after(shared->options.limits.handshake_timeout);
  std::tie(error) = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
  if (error) co_return;
  const Answer answer = [&guest](Request request) { return guest.answer(std::move(request)); };
  std::optional<EventWish> none;
  co_await converse(stream, shared->options.limits, answer, none);
  stream.next_layer().expires_after(kDrainTimeout);
  co_await stream.async_shutdown(kAwait);
  co_await drain(stream.next_layer());
}

}  // namespace warren::server
