// The userspace API, both sides. The first byte says in how large pieces the stream gets the rest;
// however it is cut, what is handed out is the same. What a codec takes is written and read again
// without change.
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.hpp"
#include "ipc/uapi.hpp"

namespace {

namespace ipc = warren::ipc;

struct Handed {
  std::vector<std::string> pieces;  ///< "get", or a piece of a set as text
  bool good = true;
};

Handed hand_out(std::string_view bytes, std::size_t at_once) {
  ipc::UapiStream stream;
  Handed out;
  while (!bytes.empty() && out.good) {
    stream.add(bytes.substr(0, at_once));
    bytes.remove_prefix(std::min(at_once, bytes.size()));
    for (;;) {
      const auto piece = stream.poll();
      out.good = piece.has_value();
      if (!piece || !*piece) break;
      out.pieces.push_back((*piece)->is_get ? "get" : ipc::write_uapi_set(*(*piece)->set));
      if ((*piece)->last) out.pieces.back() += "(last)";
    }
  }
  return out;
}

void try_set(std::string_view body) {
  const auto set = ipc::parse_uapi_set(body);
  if (!set) {
    WARREN_ASSERT(set.error().os_errno == EINVAL || set.error().os_errno == EPROTO);
    return;
  }
  const std::string text = ipc::write_uapi_set(*set);
  const Handed handed = hand_out(text, text.size());
  WARREN_ASSERT(handed.good && !handed.pieces.empty());
  WARREN_ASSERT(handed.pieces.size() > 1 || handed.pieces[0] == text + "(last)");
  constexpr std::size_t kHead = 6;  // set=1 and its newline
  const auto again =
      ipc::parse_uapi_set(std::string_view(text).substr(kHead, text.size() - kHead - 1));
  WARREN_ASSERT(again.has_value());
  WARREN_ASSERT(again->peers.size() == set->peers.size());
  WARREN_ASSERT(ipc::write_uapi_set(*again) == text);
}

std::string write_status(const ipc::UapiStatus& status) {
  std::string out;
  ipc::write_uapi_interface(out, status.private_key, status.listen_port, status.fwmark);
  for (const ipc::UapiPeerStatus& peer : status.peers) ipc::write_uapi_peer(out, peer);
  ipc::write_uapi_end(out, status.error);
  return out;
}

void try_status(std::string_view answer) {
  const auto status = ipc::parse_uapi_status(answer);
  if (!status) return;
  const std::string text = write_status(*status);
  const auto again = ipc::parse_uapi_status(text);
  WARREN_ASSERT(again.has_value());
  WARREN_ASSERT(write_status(*again) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Handed whole = hand_out(stream, stream.size());
  const Handed cut = hand_out(stream, std::size_t{data[0]} + 1);
  WARREN_ASSERT(whole.good == cut.good && whole.pieces == cut.pieces);
  try_set(stream);
  try_status(stream);
  const auto result = ipc::parse_uapi_result(stream);
  WARREN_ASSERT(result || result.error().os_errno >= 0);
  return 0;
}
