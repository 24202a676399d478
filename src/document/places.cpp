// Where in a document stands what somebody complains about.
//
// The gateway knows nothing of documents: it speaks of peers, roles and values. A change says which
// part of the document it is about; inside that, the longest value that the message repeats is
// taken for what is meant. Lines and columns in the gateway's words are those of the policy alone.
#include <algorithm>
#include <charconv>

#include "document/document.hpp"

namespace warren::document {

namespace {

constexpr std::string_view kLine = "line ";
constexpr std::string_view kColumn = ", column ";
constexpr std::string_view kAddPeer = "add peer ";
/// A shorter value is in a message by chance.
constexpr std::size_t kTelling = 3;

/// Takes "WORD NUMBER" from the front.
std::optional<unsigned> take_number(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return std::nullopt;
  unsigned number = 0;
  const char* const begin = text.data() + word.size();
  const auto [end, failed] = std::from_chars(begin, text.data() + text.size(), number);
  if (failed != std::errc() || end == begin) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

/// The peer of those to be added that the message is about.
std::string peer_in(std::string_view message) {
  const std::size_t at = message.find(kAddPeer);
  if (at == std::string_view::npos) return {};
  const std::string_view name = message.substr(at + kAddPeer.size());
  return std::string(name.substr(0, name.find(':')));
}

/// The part of its network that a change is about; empty: the network's own settings.
std::string subject_of(const Change& change, std::string_view message) {
  switch (change.kind) {
    case ChangeKind::AddRole:
    case ChangeKind::SetRole:
      return "roles/" + change.target;
    case ChangeKind::SetPolicy:
    case ChangeKind::ClearPolicy:
      return "policy";
    case ChangeKind::AddPeers: {
      const std::string peer = peer_in(message);
      return peer.empty() ? "peers" : "peers/" + peer;
    }
    case ChangeKind::SetPeerKey:
      return "peers/" + change.target + "/key";
    case ChangeKind::AddForward:
    case ChangeKind::DeleteForward:
      return "forwards/" + change.target;
    case ChangeKind::RotateAuthority:
      return "ca";
    case ChangeKind::StopNetwork:
    case ChangeKind::StartNetwork:
      return "stopped";
    case ChangeKind::CreateNetwork:
    case ChangeKind::SetNetwork:
    case ChangeKind::DeleteRole:
    case ChangeKind::RemovePeer:
    case ChangeKind::Repair:
      break;
  }
  return {};
}

/// Whether what stands at `path` may be meant by a message about `subject`.
bool belongs(std::string_view path, std::string_view subject) {
  if (!subject.empty()) {
    return path.starts_with(subject) && path.substr(subject.size()).starts_with('/');
  }
  return !path.empty() && !path.starts_with("peers/") && !path.starts_with("forwards/");
}

}  // namespace

Place Network::place(std::string path) const {
  while (true) {
    if (const auto found = said.find(path); found != said.end()) return found->second.place;
    if (path.empty()) return {};
    const std::size_t slash = path.rfind('/');
    path.erase(slash == std::string::npos ? 0 : slash);
  }
}

std::optional<Place> take_place(std::string& message) {
  constexpr std::string_view kBehind = ": ";
  for (std::size_t begin = 0;;) {
    std::string_view rest = std::string_view(message).substr(begin);
    const auto line = take_number(rest, kLine);
    const auto column = line ? take_number(rest, kColumn) : std::nullopt;
    if (column && rest.starts_with(kBehind)) {
      message.erase(begin, message.size() - begin - rest.size() + kBehind.size());
      return Place{*line, *column};
    }
    begin = message.find(kBehind, begin);
    if (begin == std::string::npos) return std::nullopt;
    begin += kBehind.size();
  }
}

Place place_of(const Document& wanted, const Change& change, std::string_view message) {
  const auto network = std::ranges::find(wanted.networks, change.network, &Network::name);
  if (network == wanted.networks.end()) return {};
  const std::string subject = subject_of(change, message);
  std::string text(message);
  const auto inside = take_place(text);
  if (subject == "policy" && inside && inside->line != 0 && inside->column != 0) {
    return {network->policy_begin.line + inside->line - 1,
            network->policy_begin.column + inside->column - 1};
  }
  const Said* meant = nullptr;
  for (const auto& [path, said] : network->said) {
    if (!belongs(path, subject) || said.text.size() < kTelling) continue;
    const bool longer = meant == nullptr || said.text.size() > meant->text.size();
    if (longer && message.find(said.text) != std::string_view::npos) meant = &said;
  }
  return meant != nullptr ? meant->place : network->place(subject);
}

}  // namespace warren::document
