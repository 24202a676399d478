// Theory of operation
//
// The library is driven through its own steps: obtain a cookie (TLS, forms), make the CSTP
// connection (now the addresses are known), start DTLS, main loop. The tun comes over the channel
// before the main loop, so packets flow over TLS at once; DTLS comes up meanwhile, or never where
// UDP is dropped in silence. The library has no call to say that it did, and that the MTU changed:
// whatever it has to say for people is a reason to look, in its own loop (its command for
// statistics).
//
// The library reads certificates and key when it first connects, which is too late: by then this
// process has no file system. So prepare() lets it connect to a listener of our own that hangs up
// (Rehearsal). The credentials stay in the library, nobody else's bytes have been read, and the
// real connection needs no file. Names are looked up before, too; the library gets the addresses
// from us, and a redirection to another host is refused with its name.
#include "apps/warren-openconnect/client.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdarg>
#include <cstdio>

#include "apps/warren-openconnect/rehearsal.hpp"

namespace warren::app {

namespace {

using base::ErrorKind;
using base::make_error;
using ipc::AnyConnectMessage;
using ipc::AnyConnectType;

// The library goes on trying so long; then the run starts this program anew.
constexpr int kReconnectFor_s = 5;
constexpr int kReconnectPause_s = 1;
constexpr int kDtlsAttemptPeriod_s = 30;
constexpr std::size_t kMaxNote = 300;
/// The library's only word about a server that refuses a password without a form.
constexpr std::string_view kStatusLine = "Got HTTP response: HTTP/1.1 ";

Client& client_of(void* data) { return *static_cast<Client*>(data); }

__attribute__((format(printf, 3, 4))) void on_progress(void* data, int level, const char* format,
                                                       ...) {
  std::array<char, kMaxNote> room{};
  va_list arguments;
  va_start(arguments, format);
  std::ignore = std::vsnprintf(room.data(), room.size(), format, arguments);
  va_end(arguments);
  std::string text = room.data();
  while (text.ends_with('\n')) text.pop_back();
  client_of(data).note(level, std::move(text));
}

int on_certificate(void* data, const char* reason) {
  return client_of(data).validate_certificate(reason);
}
int on_form(void* data, oc_auth_form* form) { return client_of(data).fill_form(*form); }
int on_new_config(void*, const char*, int) { return 0; }
int on_look_up(void* data, const char* node, const char* service, const addrinfo*,
               addrinfo** found) {
  return client_of(data).look_up(node, service, found);
}
void on_stats(void* data, const oc_stats*) { client_of(data).tell_up(); }

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

std::string text_of(const char* text) { return text == nullptr ? std::string() : text; }

/// "10.0.0.0/255.0.0.0", "10.0.0.0/8", "10.0.0.0" or "fd00::/8".
std::optional<base::Prefix> prefix_of(const std::string& address, const std::string& mask) {
  const auto parsed = base::IpAddress::parse(address);
  if (!parsed) return std::nullopt;
  if (mask.empty()) return base::Prefix::host(*parsed);
  if (mask.find('.') == std::string::npos) return base::Prefix::parse(address + "/" + mask);
  in_addr bits{};
  if (inet_pton(AF_INET, mask.c_str(), &bits) != 1 || !parsed->is_v4()) return std::nullopt;
  const std::uint32_t host_order = ntohl(bits.s_addr);
  const int length = std::countl_one(host_order);
  if (std::popcount(host_order) != length) return std::nullopt;
  return base::Prefix{*parsed, static_cast<std::uint8_t>(length)};
}

std::optional<base::Prefix> prefix_of(const std::string& route) {
  const std::size_t slash = route.find('/');
  return prefix_of(route.substr(0, slash),
                   slash == std::string::npos ? "" : route.substr(slash + 1));
}

base::Result<std::vector<base::Prefix>> prefixes_of(const oc_split_include* list) {
  std::vector<base::Prefix> out;
  for (; list != nullptr; list = list->next) {
    const auto prefix = prefix_of(text_of(list->route));
    if (!prefix) {
      return make_error(ErrorKind::Invalid,
                        "the server sent the route `" + text_of(list->route) + "`");
    }
    out.push_back(prefix->network());
  }
  return out;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(" ,", at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

base::Result<ipc::AnyConnectSession> session_of(const oc_ip_info& info) {
  ipc::AnyConnectSession session;
  const auto v4 = prefix_of(text_of(info.addr), text_of(info.netmask));
  if (info.addr != nullptr && v4) session.addresses.push_back(*v4);
  // The netmask6 is the address with its length.
  const auto v6 = base::Prefix::parse(text_of(info.netmask6));
  if (v6) {
    session.addresses.push_back(*v6);
  } else if (const auto alone = base::IpAddress::parse(text_of(info.addr6))) {
    session.addresses.push_back(base::Prefix::host(*alone));
  }
  for (const char* server : info.dns) {
    if (const auto address = base::IpAddress::parse(text_of(server))) {
      session.dns_servers.push_back(*address);
    }
  }
  session.dns_search = words_of(text_of(info.domain));
  session.mtu = static_cast<std::uint32_t>(std::max(info.mtu, 0));
  WARREN_TRY_ASSIGN(session.includes, prefixes_of(info.split_includes));
  WARREN_TRY_ASSIGN(session.excludes, prefixes_of(info.split_excludes));
  return session;
}

}  // namespace

Client::Client(AnyConnectMessage start, Channel& channel)
    : start_(std::move(start)), channel_(channel), host_(start_.get("host")) {}

Client::~Client() { start_.wipe(); }

// --- before the sandbox ---

base::Status Client::prepare() {
  WARREN_TRY(resolve());
  WARREN_TRY(configure());
  return rehearse();
}

base::Status Client::resolve() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host_.c_str(), start_.get("port").c_str(), &hints, &found);
  if (error != 0) {
    return make_error(ErrorKind::Unavailable,
                      "look up " + host_ + ": " + std::string(gai_strerror(error)),
                      "check the name of the server, and this machine's DNS");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
    base::Endpoint endpoint;
    if (one->ai_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(one->ai_addr);
      endpoint.address = base::IpAddress::v4(ntohl(v4->sin_addr.s_addr));
      endpoint.port = ntohs(v4->sin_port);
    } else {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(one->ai_addr);
      endpoint.address = base::IpAddress::v6(std::to_array(v6->sin6_addr.s6_addr));
      endpoint.port = ntohs(v6->sin6_port);
    }
    endpoints_.push_back(endpoint);
  }
  return {};
}

base::Status Client::configure() {
  if (openconnect_init_ssl() != 0) {
    return make_error(ErrorKind::Failed, "start the TLS library: it refused");
  }
  session_.reset(openconnect_vpninfo_new("Open AnyConnect VPN Agent", on_certificate, on_new_config,
                                         on_form, on_progress, this));
  if (!session_) return make_error(ErrorKind::Failed, "start libopenconnect: it refused");
  openconnect_info* const session = session_.get();
  openconnect_set_loglevel(session, PRG_DEBUG);  // note() chooses
  openconnect_set_protocol(session, "anyconnect");
  openconnect_set_reported_os(session, "linux-64");
  openconnect_override_getaddrinfo(session, on_look_up);
  openconnect_set_stats_handler(session, on_stats);
  openconnect_set_compression_mode(session, OC_COMPRESSION_MODE_NONE);
  if (openconnect_parse_url(session, start_.get("url").c_str()) != 0) {
    return make_error(ErrorKind::Invalid, "`" + start_.get("url") + "` is not an address");
  }
  const std::string cert = start_.get("cert");
  if (!cert.empty() &&
      openconnect_set_client_cert(session, cert.c_str(), or_null(start_.get("key"))) != 0) {
    return make_error(ErrorKind::Invalid, "use the certificate " + cert);
  }
  // A pin says all that is to be said about trust.
  const bool own_trust = !start_.get("pin").empty() || !start_.get("cafile").empty();
  if (own_trust) openconnect_set_system_trust(session, 0);
  if (start_.get("pin").empty() && !start_.get("cafile").empty()) {
    openconnect_set_cafile(session, start_.get("cafile").c_str());
  }
  command_ = openconnect_setup_cmd_pipe(session);
  if (command_ < 0) return base::os_error("create a pipe", -command_);
  return {};
}

base::Status Client::rehearse() {
  Rehearsal rehearsal;
  WARREN_TRY(rehearsal.start());
  base::Endpoint here{.address = *base::IpAddress::parse("127.0.0.1"), .port = rehearsal.port()};
  rehearsal_ = &here;
  std::ignore = openconnect_obtain_cookie(session_.get());
  rehearsal_ = nullptr;
  openconnect_reset_ssl(session_.get());
  // What went wrong before the first word was the library's own: it reads its files until then.
  if (!rehearsal.was_spoken_to()) {
    return make_error(ErrorKind::Invalid, "read the certificates: " + first_error_,
                      "check --cert, --key and --cafile: PEM files that this user can read");
  }
  return {};
}

// --- the library asks ---

void Client::note(int level, std::string text) {
  if (level == PRG_ERR && first_error_.empty()) first_error_ = text;
  if (text.starts_with(kStatusLine)) status_ = text.substr(kStatusLine.size());
  if (!told_transport_.empty() && level <= PRG_INFO) {
    const char look = OC_CMD_STATS;
    std::ignore = write(command_, &look, 1);  // a full pipe holds one already
  }
  if (start_.get("verbose") != "1") return;
  std::ignore = channel_.send(
      AnyConnectMessage{.type = AnyConnectType::Notice, .fields = {{"text", std::move(text)}}});
}

int Client::validate_certificate(const char* reason) {
  const std::string pin = start_.get("pin");
  if (!pin.empty()) {
    if (openconnect_check_peer_cert_hash(session_.get(), pin.c_str()) == 0) return 0;
    untrusted_ = "its key is another than --servercert says";
  } else {
    untrusted_ = text_of(reason);
  }
  return -EPERM;
}

int Client::look_up(const char* host, const char* service, addrinfo** found) const {
  if (host_ != text_of(host)) return EAI_NONAME;
  *found = nullptr;
  addrinfo** next = found;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  const auto add = [&](const base::IpAddress& address, const char* port) {
    if (getaddrinfo(address.to_string().c_str(), port, &hints, next) != 0) return;
    while (*next != nullptr) next = &(*next)->ai_next;
  };
  if (rehearsal_ != nullptr) {
    add(rehearsal_->address, std::to_string(rehearsal_->port).c_str());
  } else {
    for (const base::Endpoint& endpoint : endpoints_) add(endpoint.address, service);
  }
  return *found == nullptr ? EAI_NONAME : 0;
}

bool Client::answer(oc_form_opt& option, const oc_auth_form& form) {
  const std::string name = text_of(option.name);
  AnyConnectMessage question{.type = AnyConnectType::Question, .fields = {}};
  const std::string label = text_of(option.label);
  question.add("name", name).add("label", label);
  question.add("message", text_of(form.error != nullptr ? form.error : form.message));
  question.add("secret", option.type == OC_FORM_OPT_PASSWORD ? "1" : "0");
  // A server that wants a password of one use asks for a "password" twice, in other words; what was
  // wrong before stands in a line of its own in front of them.
  const std::string words = text_of(form.message);
  const std::string key = name + "\n" + label + "\n" + words.substr(words.rfind('\n') + 1);
  question.add("key", key);
  question.add("attempt", std::to_string(std::ranges::count(asked_, key) + 1));
  asked_.push_back(key);
  auto text = channel_.ask(question);
  if (!text) return false;
  const bool set = openconnect_set_option_value(&option, text->c_str()) == 0;
  explicit_bzero(text->data(), text->size());
  return set;
}

/// The group named by the caller, else the one the server proposes.
bool Client::choose(oc_form_opt& option, const oc_auth_form& form) {
  auto& select = reinterpret_cast<oc_form_opt_select&>(option);
  const std::span choices(select.choices, static_cast<std::size_t>(select.nr_choices));
  if (choices.empty()) return true;
  const bool is_group = &select == form.authgroup_opt;
  const std::string wanted = is_group ? start_.get("group") : "";
  const oc_choice* chosen = choices[0];
  const auto proposed = static_cast<std::size_t>(std::max(form.authgroup_selection, 0));
  if (is_group && proposed < choices.size()) chosen = choices[proposed];
  for (const oc_choice* choice : choices) {
    const bool match = text_of(choice->name) == wanted || text_of(choice->label) == wanted;
    if (!wanted.empty() && match) chosen = choice;
  }
  return openconnect_set_option_value(&option, chosen->name) == 0;
}

int Client::fill_form(oc_auth_form& form) {
  const bool new_group = form.authgroup_opt != nullptr && !std::exchange(group_chosen_, true) &&
                         !start_.get("group").empty();
  for (oc_form_opt* option = form.opts; option != nullptr; option = option->next) {
    if ((option->flags & OC_FORM_OPT_IGNORE) != 0) continue;
    const bool is_text = option->type == OC_FORM_OPT_TEXT || option->type == OC_FORM_OPT_PASSWORD;
    const bool done = option->type == OC_FORM_OPT_SELECT ? choose(*option, form)
                      : new_group || !is_text            ? true
                                                         : answer(*option, form);
    if (!done) {
      ask_failed_ = true;
      return OC_FORM_RESULT_CANCELLED;
    }
  }
  return new_group ? OC_FORM_RESULT_NEWGROUP : OC_FORM_RESULT_OK;
}

// --- the session ---

base::Status Client::failure(const std::string& what, int code) {
  if (!untrusted_.empty()) {
    const std::string pin = text_of(openconnect_get_peer_cert_hash(session_.get()));
    return make_error(
        ErrorKind::NotPermitted,
        "the certificate of " + host_ + " is not trusted: " + untrusted_ + "; its key is " + pin,
        "compare that with what its administrator says, then run again with "
        "--servercert " +
            pin + ", or name its CA with --cafile FILE");
  }
  const bool refused = code == -EPERM || code == -EACCES;
  return make_error(refused ? ErrorKind::NotPermitted : ErrorKind::Unavailable,
                    what + (first_error_.empty() ? "" : ": " + first_error_));
}

base::Status Client::obtain_cookie() {
  first_error_.clear();
  status_.clear();
  const int result = openconnect_obtain_cookie(session_.get());
  if (result == 0) return {};
  if (untrusted_.empty() && (status_.starts_with("401") || status_.starts_with("403"))) {
    return make_error(ErrorKind::NotPermitted, host_ + " refused the login: " + status_,
                      "check the name and the passwords; a password of one use is good for one "
                      "login only");
  }
  return failure("log in at " + host_, result);
}

base::Status Client::resume() {
  const std::string cookie = start_.get("cookie");
  if (cookie.empty()) return make_error(ErrorKind::NotFound, "there is no session to resume");
  first_error_.clear();
  openconnect_set_cookie(session_.get(), cookie.c_str());
  const int result = openconnect_make_cstp_connection(session_.get());
  if (result == 0) return {};
  openconnect_reset_ssl(session_.get());
  return failure("resume the session at " + host_, result);
}

base::Status Client::log_in() {
  if (!resume()) {
    if (!untrusted_.empty()) return failure("", 0);
    WARREN_TRY(obtain_cookie());
    if (const int result = openconnect_make_cstp_connection(session_.get()); result != 0) {
      return failure("open the session at " + host_, result);
    }
  }
  if (const int result = openconnect_setup_dtls(session_.get(), kDtlsAttemptPeriod_s);
      result != 0) {
    note(PRG_INFO, "no DTLS with this server: everything goes over TLS");
  }
  return tell_session();
}

base::Status Client::tell_session() {
  const oc_ip_info* info = nullptr;
  if (openconnect_get_ip_info(session_.get(), &info, nullptr, nullptr) != 0 || info == nullptr) {
    return make_error(ErrorKind::Failed, "the server told no address");
  }
  WARREN_TRY_ASSIGN(ipc::AnyConnectSession session, session_of(*info));
  session.cookie = text_of(openconnect_get_cookie(session_.get()));
  session.pin = text_of(openconnect_get_peer_cert_hash(session_.get()));
  AnyConnectMessage message = ipc::write_session(session);
  base::Status sent = channel_.send(message);
  message.wipe();
  return sent;
}

void Client::tell_up() {
  const oc_ip_info* info = nullptr;
  if (openconnect_get_ip_info(session_.get(), &info, nullptr, nullptr) != 0 || info == nullptr) {
    return;
  }
  const bool dtls = openconnect_get_dtls_cipher(session_.get()) != nullptr;
  const std::string transport = dtls ? "dtls" : "tls";
  if (info->mtu == told_mtu_ && transport == told_transport_) return;
  told_mtu_ = info->mtu;
  told_transport_ = transport;
  AnyConnectMessage up{.type = AnyConnectType::Up, .fields = {}};
  up.add("mtu", std::to_string(told_mtu_)).add("transport", transport);
  std::ignore = channel_.send(up);
}

base::Status Client::take_tun(os::Fd tun) {
  WARREN_TRY(tun.set_nonblocking());
  if (openconnect_setup_tun_fd(session_.get(), tun.get()) != 0) {
    return make_error(ErrorKind::Failed, "hand the tun to libopenconnect: it refused");
  }
  std::ignore = tun.release();  // the library closes it
  tell_up();
  return {};
}

base::Status Client::carry() {
  first_error_.clear();
  channel_.begin_main_loop();
  // None: the end was said while we waited; the main loop logs out.
  if (os::Fd tun = channel_.wait_for_tun()) WARREN_TRY(take_tun(std::move(tun)));
  const int result = openconnect_mainloop(session_.get(), kReconnectFor_s, kReconnectPause_s);
  if (result == -EINTR) return {};
  return failure("the session with " + host_ + " is over", result);
}

}  // namespace warren::app
