// The userspace API, both sides. The first byte says in how large pieces the framer gets the rest;
// however the stream is cut, the requests are the same. What a codec takes is written and read
// again without change.
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.hpp"
#include "ipc/uapi.hpp"

namespace {

namespace ipc = warren::ipc;

struct Framed {
  std::vector<ipc::UapiFramer::Request> requests;
  bool good = true;
};

Framed frame(std::string_view stream, std::size_t piece) {
  ipc::UapiFramer framer;
  Framed out;
  while (!stream.empty() && out.good) {
    out.good = framer.handle_bytes(stream.substr(0, piece)).has_value();
    stream.remove_prefix(std::min(piece, stream.size()));
  }
  while (auto request = framer.poll_request()) out.requests.push_back(std::move(*request));
  return out;
}

void try_set(std::string_view body) {
  const auto set = ipc::parse_uapi_set(body);
  if (!set) {
    WARREN_ASSERT(set.error().os_errno == EINVAL || set.error().os_errno == EPROTO);
    return;
  }
  const std::string text = ipc::write_uapi_set(*set);
  const Framed framed = frame(text, text.size());
  WARREN_ASSERT(framed.good && framed.requests.size() == 1);
  const auto again = ipc::parse_uapi_set(framed.requests[0].body);
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
  const Framed whole = frame(stream, stream.size());
  const Framed pieces = frame(stream, std::size_t{data[0]} + 1);
  WARREN_ASSERT(whole.good == pieces.good && whole.requests.size() == pieces.requests.size());
  for (std::size_t i = 0; i < whole.requests.size(); ++i) {
    WARREN_ASSERT(whole.requests[i].kind == pieces.requests[i].kind);
    WARREN_ASSERT(whole.requests[i].body == pieces.requests[i].body);
    if (whole.requests[i].kind == ipc::UapiFramer::Kind::Set) try_set(whole.requests[i].body);
  }
  try_set(stream);
  try_status(stream);
  const auto result = ipc::parse_uapi_result(stream);
  WARREN_ASSERT(result || result.error().os_errno >= 0);
  return 0;
}
