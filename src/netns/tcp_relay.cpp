#include "netns/tcp_relay.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "netns/limits.hpp"

namespace warren::netns {

TcpRelay::TcpRelay(os::Fd client, os::Fd inside, std::vector<SocketAddress> targets)
    : client_(std::move(client)), inside_(std::move(inside)), targets_(std::move(targets)) {
  if (!connect_next()) inside_.reset();
}

bool TcpRelay::connect_next() {
  while (next_target_ < targets_.size()) {
    const SocketAddress& target = targets_[next_target_++];
    if (connect_to(inside_, target)) {
      connected_ = true;
      return true;
    }
    if (errno == EINPROGRESS) return true;
  }
  return false;
}

void TcpRelay::add_polls(std::vector<pollfd>& polls) const {
  const auto wanted = [](const Direction& in, const Direction& out) {
    short events = 0;
    if (in.waiting.empty() && !in.ended) events |= POLLIN;
    if (!out.waiting.empty()) events |= POLLOUT;
    return events;
  };
  if (!connected_) {
    polls.push_back({.fd = client_.get(), .events = 0});
    polls.push_back({.fd = inside_.get(), .events = POLLOUT});
    return;
  }
  // poll ignores negative numbers: a side with nothing to wait for would only report its hangup.
  const short of_client = wanted(inwards_, outwards_);
  const short of_inside = wanted(outwards_, inwards_);
  polls.push_back({.fd = of_client != 0 ? client_.get() : -1, .events = of_client});
  polls.push_back({.fd = of_inside != 0 ? inside_.get() : -1, .events = of_inside});
}

bool TcpRelay::move(Direction& way, const os::Fd& from, const os::Fd& to) {
  if (way.waiting.empty() && !way.ended) {
    way.waiting.resize(kRelayBuffer);
    const ssize_t got = recv(from.get(), way.waiting.data(), way.waiting.size(), MSG_DONTWAIT);
    if (got < 0 && errno != EAGAIN && errno != EINTR) return false;
    way.ended = got == 0;
    way.waiting.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    way.written = 0;
  }
  if (!way.waiting.empty()) {
    const ssize_t put = send(to.get(), way.waiting.data() + way.written,
                             way.waiting.size() - way.written, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (put > 0) way.written += static_cast<std::size_t>(put);
    if (way.written == way.waiting.size()) way.waiting.clear();
  }
  if (way.ended && way.waiting.empty() && !way.shut_down) {
    shutdown(to.get(), SHUT_WR);
    way.shut_down = true;
  }
  return true;
}

pollfd TcpRelay::last_poll() const {
  if (outwards_.waiting.empty()) return {.fd = inside_.get(), .events = POLLIN, .revents = 0};
  return {.fd = client_.get(), .events = POLLOUT, .revents = 0};
}

bool TcpRelay::pass_last() { return move(outwards_, inside_, client_) && !outwards_.shut_down; }

bool TcpRelay::handle(const pollfd& client, const pollfd& inside) {
  if (!inside_) return false;
  if (!connected_) {
    if ((client.revents & (POLLHUP | POLLERR)) != 0) return false;
    if (inside.revents == 0) return true;
    int why = 0;
    socklen_t size = sizeof why;
    if (getsockopt(inside_.get(), SOL_SOCKET, SO_ERROR, &why, &size) < 0) return false;
    if (why != 0) return connect_next();
    connected_ = true;
  }
  if (!move(inwards_, client_, inside_) || !move(outwards_, inside_, client_)) return false;
  return !inwards_.shut_down || !outwards_.shut_down;
}

}  // namespace warren::netns
