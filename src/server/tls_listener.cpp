#include "server/tls_listener.hpp"

#include <boost/asio/ip/v6_only.hpp>

#include "os/clock.hpp"
#include "pki/authority.hpp"
#include "server/tls.hpp"

namespace warren::server {
namespace {

base::Error bind_error(const std::string& purpose, const base::HostPort& at,
                       const beast::error_code& error) {
  const std::string what =
      "listen for " + purpose + " on " + at.host + " port " + std::to_string(at.port) + " (tcp)";
  if (error == asio::error::address_in_use) {
    return base::make_error(base::ErrorKind::Conflict, what + ": the port is taken",
                            "find its owner with: ss -lntp 'sport = :" + std::to_string(at.port) +
                                "', or choose another port in the settings");
  }
  return base::os_error(what, error.value());
}

beast::error_code try_listen(tcp::acceptor& acceptor, const tcp::endpoint& at) {
  beast::error_code error;
  static_cast<void>(acceptor.open(at.protocol(), error));
  if (!error) static_cast<void>(acceptor.set_option(asio::socket_base::reuse_address(true), error));
  if (!error && at.protocol() == tcp::v6()) {
    static_cast<void>(
        acceptor.set_option(asio::ip::v6_only(!at.address().to_v6().is_unspecified()), error));
  }
  if (!error) static_cast<void>(acceptor.bind(at, error));
  if (!error) static_cast<void>(acceptor.listen(asio::socket_base::max_listen_connections, error));
  if (error) {
    beast::error_code ignored;
    static_cast<void>(acceptor.close(ignored));
  }
  return error;
}

}  // namespace

base::Status listen_on(tcp::acceptor& acceptor, const std::string& purpose,
                       const std::string& where) {
  const auto at = base::HostPort::parse(where);
  beast::error_code error;
  const auto address = at ? asio::ip::make_address(at->host, error) : asio::ip::address();
  if (!at || error) {
    return base::make_error(
        base::ErrorKind::Invalid,
        "listen for " + purpose + " on '" + where + "': not an address and a port",
        "write it as [::]:51800 or 192.0.2.1:51800");
  }
  error = try_listen(acceptor, {address, at->port});
  const bool no_ipv6 = error == asio::error::address_family_not_supported ||
                       error == beast::error_code(EADDRNOTAVAIL, boost::system::system_category());
  if (no_ipv6 && address.is_v6() && address.is_unspecified()) {
    error = try_listen(acceptor, {asio::ip::address_v4::any(), at->port});
  }
  if (error) return bind_error(purpose, *at, error);
  return {};
}

std::uint16_t port_of(const tcp::acceptor& acceptor) {
  beast::error_code error;
  const auto at = acceptor.local_endpoint(error);
  return error ? std::uint16_t{0} : at.port();
}

base::Status renew_certificate(Shared& shared) {
  if (!shared.options.make_certificate) {
    return base::make_error(base::ErrorKind::Internal, "no certificate for the listeners");
  }
  WARREN_TRY_ASSIGN(const std::string certificate, shared.options.make_certificate());
  WARREN_TRY_ASSIGN(TlsContext context,
                    make_tls_context(certificate, shared.options.identity_key_pem));
  WARREN_TRY_ASSIGN(const pki::CertificateFacts facts, pki::certificate_facts(certificate));
  shared.tls = std::make_shared<asio::ssl::context>(context.release());
  shared.tls_begins = facts.not_before;
  shared.tls_ends = facts.not_after;
  shared.control.set_gateway_certificate_end(facts.not_after);
  return {};
}

asio::awaitable<void> keep_certificate_fresh(SharedPtr shared) {
  while (!shared->stopped) {
    // Often, and by the wall clock: a timer of a month stands still while the machine sleeps.
    shared->renewal.expires_after(shared->options.limits.certificate_look);
    auto [error] = co_await shared->renewal.async_wait(kAwait);
    if (error || shared->stopped) co_return;
    const base::WallTime now =
        shared->options.wall_clock ? shared->options.wall_clock() : os::wall_now();
    if (!pki::is_renewal_due(shared->tls_begins, shared->tls_ends, now)) continue;
    if (const base::Status renewed = renew_certificate(*shared); !renewed) {
      shared->log.write(base::LogLevel::Error, "server",
                        "renew the certificate: " + renewed.error().message);
    }
  }
}

}  // namespace warren::server
