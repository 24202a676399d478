#include "services/name_probe.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "os/clock.hpp"
#include "os/netns.hpp"
#include "os/process.hpp"

namespace warren::services {

namespace {

using base::ErrorKind;
using base::make_error;

constexpr std::uint16_t kDnsPort = 53;
constexpr std::uint16_t kTypeA = 1;
constexpr std::uint16_t kTypeAaaa = 28;
constexpr std::uint16_t kClassInternet = 1;
constexpr std::uint16_t kRecursionDesired = 0x0100;
constexpr std::uint16_t kIsAnswer = 0x8000;
constexpr std::uint16_t kCodeMask = 0x000f;
constexpr std::uint16_t kNoSuchName = 3;
constexpr std::size_t kHeader = 12;
constexpr std::size_t kMaxMessage = 4096;

std::uint16_t type_of(base::Family family) {
  return family == base::Family::V4 ? kTypeA : kTypeAaaa;
}

/// Numbers of a message; reading past its end is noted and gives zeros.
class Reader {
 public:
  explicit Reader(base::Bytes bytes) : bytes_(bytes) {}
  std::uint16_t number() {
    const base::Bytes two = take(2);
    return two.size() < 2 ? std::uint16_t{0} : static_cast<std::uint16_t>(two[0] << 8 | two[1]);
  }
  base::Bytes take(std::size_t count) {
    if (bytes_.size() - at_ < count) {
      is_short_ = true;
      at_ = bytes_.size();
      return {};
    }
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  /// A name, which a pointer may end; where it points does not matter here.
  void skip_name() {
    constexpr std::uint8_t kPointer = 0xc0;
    while (!is_short_) {
      const base::Bytes length = take(1);
      if (length.empty() || length[0] == 0) return;
      if ((length[0] & kPointer) == kPointer) {
        take(1);
        return;
      }
      take(length[0]);
    }
  }
  [[nodiscard]] bool is_short() const { return is_short_; }

 private:
  base::Bytes bytes_;
  std::size_t at_ = 0;
  bool is_short_ = false;
};

base::Result<os::Fd> connected_socket(const os::Fd& netns, const base::IpAddress& server) {
  os::Fd made;
  const auto open = [&]() -> base::Status {
    sockaddr_storage storage{};
    socklen_t size = 0;
    if (server.is_v4()) {
      auto* to = reinterpret_cast<sockaddr_in*>(&storage);
      to->sin_family = AF_INET;
      to->sin_port = htons(kDnsPort);
      std::memcpy(&to->sin_addr, server.bytes().data(), sizeof(to->sin_addr));
      size = sizeof(*to);
    } else {
      auto* to = reinterpret_cast<sockaddr_in6*>(&storage);
      to->sin6_family = AF_INET6;
      to->sin6_port = htons(kDnsPort);
      std::memcpy(&to->sin6_addr, server.bytes().data(), sizeof(to->sin6_addr));
      size = sizeof(*to);
    }
    made = os::Fd(::socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!made) return base::os_error("make a socket");
    if (::connect(made.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
      return base::os_error("reach " + server.to_string());
    }
    return {};
  };
  WARREN_TRY(os::in_netns(netns, open));
  return made;
}

}  // namespace

std::vector<std::uint8_t> write_question(std::uint16_t id, std::string_view name,
                                         base::Family family) {
  std::vector<std::uint8_t> out;
  const auto number = [&out](std::uint16_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value & 0xff));
  };
  for (const std::uint16_t value : {id, kRecursionDesired, std::uint16_t{1}}) number(value);
  for (int i = 0; i < 3; ++i) number(0);
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  out.push_back(0);
  number(type_of(family));
  number(kClassInternet);
  return out;
}

base::Result<std::vector<base::IpAddress>> read_answer(base::Bytes message, std::uint16_t id,
                                                       base::Family family) {
  Reader reader(message);
  const std::uint16_t answered = reader.number();
  const std::uint16_t flags = reader.number();
  const std::uint16_t questions = reader.number();
  const std::uint16_t answers = reader.number();
  reader.take(kHeader - 8);
  if (reader.is_short() || answered != id || (flags & kIsAnswer) == 0) {
    return make_error(ErrorKind::Invalid, "no answer to what was asked");
  }
  std::vector<base::IpAddress> out;
  const int code = flags & kCodeMask;
  if (code == kNoSuchName) return out;
  if (code != 0) {
    return make_error(ErrorKind::Unavailable,
                      "the name server answers with code " + std::to_string(code));
  }
  for (int i = 0; i < questions; ++i) {
    reader.skip_name();
    reader.take(4);
  }
  for (int i = 0; i < answers && !reader.is_short(); ++i) {
    reader.skip_name();
    const std::uint16_t type = reader.number();
    reader.take(6);  // class, time to live
    const auto address = base::IpAddress::from_bytes(reader.take(reader.number()));
    if (type == type_of(family) && address) out.push_back(*address);
  }
  if (reader.is_short()) return make_error(ErrorKind::Invalid, "the answer is cut off");
  return out;
}

namespace {

/// A question on its way.
class Asking {
 public:
  explicit Asking(const NameQuestion& question) : server_(question.server) {
    auto socket = connected_socket(*question.netns, question.server);
    if (!socket) {
      fail(socket.error().message);
      return;
    }
    socket_ = std::move(*socket);
    os::SystemRandom random;
    id_ = static_cast<std::uint16_t>(random.u32() & 0xffff);
    const auto bytes = write_question(id_, question.name, server_.family());
    if (::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) refuse();
  }
  [[nodiscard]] bool waits() const { return static_cast<bool>(socket_); }
  [[nodiscard]] int descriptor() const { return socket_.get(); }
  void handle_readable() {
    std::array<std::uint8_t, kMaxMessage> buffer{};
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) return refuse();  // nobody listens there
    auto answer = read_answer(base::Bytes(buffer).first(static_cast<std::size_t>(got)), id_,
                              server_.family());
    if (!answer && answer.error().kind == ErrorKind::Invalid) return;  // not to this question
    out_.came = true;
    if (!answer) return fail(answer.error().message);
    out_.addresses = std::move(*answer);
    socket_.reset();
  }
  [[nodiscard]] NameAnswer take() {
    if (waits()) fail("the name server at " + server_.to_string() + " does not answer");
    return std::move(out_);
  }

 private:
  void fail(std::string why) {
    out_.why = std::move(why);
    socket_.reset();
  }
  void refuse() { fail(base::os_error("ask " + server_.to_string()).message); }

  base::IpAddress server_;
  os::Fd socket_;
  std::uint16_t id_ = 0;
  NameAnswer out_;
};

}  // namespace

std::vector<NameAnswer> ask_names(const std::vector<NameQuestion>& questions,
                                  base::Duration at_most) {
  std::vector<Asking> all;
  all.reserve(questions.size());
  for (const NameQuestion& question : questions) all.emplace_back(question);
  const base::Instant deadline = os::now() + at_most;
  for (;;) {
    std::vector<pollfd> waiting;
    std::vector<Asking*> whose;
    for (Asking& one : all) {
      if (!one.waits()) continue;
      waiting.push_back({.fd = one.descriptor(), .events = POLLIN, .revents = 0});
      whose.push_back(&one);
    }
    const std::int64_t left = (deadline - os::now()).count();
    if (waiting.empty() || left <= 0) break;
    const timespec room{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    if (::ppoll(waiting.data(), waiting.size(), &room, nullptr) < 0 && errno != EINTR) break;
    for (std::size_t at = 0; at < waiting.size(); ++at) {
      if (waiting[at].revents != 0) whose[at]->handle_readable();
    }
  }
  std::vector<NameAnswer> out;
  for (Asking& one : all) out.push_back(one.take());
  return out;
}

base::Result<std::vector<base::IpAddress>> ask_name(const os::Fd& netns,
                                                    const base::IpAddress& server,
                                                    std::string_view name, base::Duration at_most) {
  auto answers =
      ask_names({{.netns = &netns, .server = server, .name = std::string(name)}}, at_most);
  if (!answers[0].why.empty()) return make_error(ErrorKind::Unavailable, answers[0].why);
  return std::move(answers[0].addresses);
}

}  // namespace warren::services
