// Theory of operation
//
// add() keeps the bytes, poll() reads whole lines from them until a piece is complete; what has
// been read is wiped when the buffer is reused. A peer is complete when the next one begins, so the
// peer that begins the next piece waits in `next_` while the full one is out.
#include "ipc/uapi.hpp"
#include "ipc/uapi_lines.hpp"

namespace warren::ipc {

namespace {

constexpr std::string_view kGet = "get=1";
constexpr std::string_view kSet = "set=1";

base::Error no_request() {
  return uapi_error(EINVAL, "userspace API: a request starts with neither get=1 nor set=1");
}

}  // namespace

UapiStream::~UapiStream() { wipe_text(buffer_); }

void UapiStream::add(std::string_view bytes) {
  if (read_ != 0) {
    const std::size_t left = buffer_.size() - read_;
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(read_), left, buffer_.begin());
    const auto rest = base::MutableBytes(reinterpret_cast<std::uint8_t*>(buffer_.data()) + left,
                                         buffer_.size() - left);
    crypto::wipe(rest);
    buffer_.resize(left);
    read_ = 0;
  }
  reserve_wiped(buffer_, bytes.size());
  buffer_.append(bytes);
}

base::Result<std::optional<UapiStream::Piece>> UapiStream::poll() {
  if (error_) return *error_;
  const auto fail = [this](base::Error error) {
    error_ = std::move(error);
    return *error_;
  };
  if (handed_out_) begin_piece();
  for (;;) {
    const std::string_view rest = std::string_view(buffer_).substr(read_);
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      if (rest.size() > kMaxUapiLine) {
        return fail(uapi_error(EINVAL, "userspace API: a line is longer than 1024 bytes"));
      }
      const bool may_begin = kGet.starts_with(rest) || kSet.starts_with(rest);
      if (inside_ == Inside::Nothing && !may_begin) return fail(no_request());
      return std::optional<Piece>();
    }
    const std::string_view line = rest.substr(0, end);
    read_ += end + 1;
    if (inside_ == Inside::Nothing) {
      if (const auto begun = begin_request(line); !begun) return fail(begun.error());
    } else if (line.empty()) {
      const bool is_get = std::exchange(inside_, Inside::Nothing) == Inside::Get;
      handed_out_ = true;
      if (is_get) return std::optional(Piece{.is_get = true, .last = true});
      return std::optional(Piece{.set = &set_, .last = true});
    } else if (inside_ == Inside::Get) {
      return fail(uapi_error(EINVAL, "userspace API: a get request has no further lines"));
    } else if (const auto handled = handle_set_line(line); !handled) {
      return fail(handled.error());
    }
    if (next_) {
      handed_out_ = true;
      return std::optional(Piece{.set = &set_});
    }
  }
}

base::Status UapiStream::begin_request(std::string_view line) {
  if (line != kGet && line != kSet) return no_request();
  inside_ = line == kGet ? Inside::Get : Inside::Set;
  past_interface_ = false;
  return {};
}

base::Status UapiStream::handle_set_line(std::string_view text) {
  const auto line = split_line(text);
  if (!line) return uapi_error(EPROTO, "userspace API: a line is not key=value");
  if (line->key == "public_key") {
    WARREN_TRY_ASSIGN(const base::PublicKey key, parse_uapi_public_key(*line));
    past_interface_ = true;
    UapiPeer& peer =
        set_.peers.size() < kUapiPiecePeers ? set_.peers.emplace_back() : next_.emplace();
    peer.public_key = key;
    return {};
  }
  if (!past_interface_) return parse_uapi_interface_line(*line, set_);
  UapiPeer& peer = set_.peers.back();
  const std::size_t before = peer.allowed_ips.size();
  WARREN_TRY(parse_uapi_peer_line(*line, peer));
  allowed_ips_ = allowed_ips_ - before + peer.allowed_ips.size();
  if (allowed_ips_ >= kUapiPieceAllowedIps) {
    next_.emplace();
    next_->public_key = peer.public_key;
    next_->remove = peer.remove;
    next_->update_only = peer.update_only;
  }
  return {};
}

void UapiStream::begin_piece() {
  handed_out_ = false;
  set_.private_key.reset();
  set_.listen_port.reset();
  set_.fwmark.reset();
  set_.replace_peers = false;
  set_.peers.clear();
  allowed_ips_ = 0;
  if (next_) set_.peers.push_back(std::move(*next_));
  next_.reset();
}

}  // namespace warren::ipc
