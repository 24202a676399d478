#include "proxy/dns_message.hpp"

#include <algorithm>

namespace warren::proxy::dns {

namespace {

constexpr std::size_t kHeaderSize = 12;
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxName = 253;
constexpr std::uint16_t kInternet = 1;
constexpr std::uint16_t kAlias = 5;  // CNAME
constexpr std::uint16_t kRecursionDesired = 0x0100;
constexpr std::uint16_t kResponse = 0x8000;
constexpr std::uint16_t kOpcodeMask = 0x7800;
constexpr std::uint16_t kTruncated = 0x0200;
constexpr std::uint16_t kNoSuchName = 3;
/// Links of a chain of aliases.
constexpr std::size_t kMaxAliases = 16;
constexpr std::size_t kMaxRecords = 256;

std::string canonical(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string out(name);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

/// A name at `at`, which moves behind it. Every pointer leads further to the front than the one
/// before, so that there is no loop. nullopt: malformed. Labels may hold any byte; a dot in one
/// would only make a name that nobody asked for.
std::optional<std::string> read_name(base::Bytes message, std::size_t& at) {
  std::string name;
  std::size_t position = at;
  std::size_t limit = at;  // a pointer must lead in front of this
  bool jumped = false;
  while (position < message.size()) {
    const std::uint8_t size = message[position];
    if ((size & 0xc0) == 0xc0) {
      if (position + 1 >= message.size()) return std::nullopt;
      const std::size_t to = static_cast<std::size_t>(size & 0x3f) << 8 | message[position + 1];
      if (to >= limit) return std::nullopt;
      if (!jumped) at = position + 2;
      jumped = true;
      position = limit = to;
      continue;
    }
    if (size > kMaxLabel) return std::nullopt;
    if (size == 0) {
      if (!jumped) at = position + 1;
      return canonical(name);
    }
    if (position + 1 + size > message.size()) return std::nullopt;
    if (!name.empty()) name += '.';
    name.append(reinterpret_cast<const char*>(message.data()) + position + 1, size);
    if (name.size() > kMaxName) return std::nullopt;
    position += 1U + size;
  }
  return std::nullopt;
}

struct Record {
  std::string owner;
  std::uint16_t type = 0;
  std::uint32_t ttl_s = 0;
  std::optional<base::IpAddress> address;
  std::string alias;
};

std::optional<Record> read_record(base::Bytes message, std::size_t& at) {
  const auto owner = read_name(message, at);
  if (!owner) return std::nullopt;
  base::ByteReader reader(message.subspan(at));
  Record record{.owner = *owner, .type = reader.u16_be(), .address = std::nullopt, .alias = {}};
  const std::uint16_t of_class = reader.u16_be();
  record.ttl_s = reader.u32_be();
  const std::size_t size = reader.u16_be();
  const std::size_t data_at = message.size() - reader.rest().size();
  const base::Bytes data = reader.take(size);
  if (!reader.ok()) return std::nullopt;
  at = data_at + size;
  if (of_class != kInternet) {
    record.type = 0;
  } else if (record.type == kAlias) {
    std::size_t inside = data_at;
    const auto alias = read_name(message.first(at), inside);
    if (!alias) return std::nullopt;
    record.alias = *alias;
  } else if ((record.type == static_cast<std::uint16_t>(Type::A) && size == 4) ||
             (record.type == static_cast<std::uint16_t>(Type::Aaaa) && size == 16)) {
    record.address = base::IpAddress::from_bytes(data);
  }
  return record;
}

Answer answer_from(const std::vector<Record>& records, const Question& question, std::size_t most) {
  Answer answer{.outcome = Answer::Outcome::NoName, .addresses = {}, .ttl_s = ~std::uint32_t{0}};
  std::string owner = canonical(question.name);
  for (std::size_t link = 0; link <= kMaxAliases; ++link) {
    std::string next;
    for (const Record& record : records) {
      if (record.owner != owner) continue;
      if (record.type == static_cast<std::uint16_t>(question.type) && record.address) {
        if (answer.addresses.size() == most) continue;
        answer.addresses.push_back(*record.address);
      } else if (record.type == kAlias) {
        next = record.alias;
      } else {
        continue;
      }
      answer.ttl_s = std::min(answer.ttl_s, record.ttl_s);
    }
    if (!answer.addresses.empty()) {
      answer.outcome = Answer::Outcome::Found;
      return answer;
    }
    if (next.empty()) return answer;
    owner = next;
  }
  return answer;
}

}  // namespace

std::vector<std::uint8_t> write_question(const Question& question) {
  const std::string name = canonical(question.name);
  if (name.empty() || name.size() > kMaxName) return {};
  std::vector<std::uint8_t> out(kHeaderSize + name.size() + 2 + 4);
  base::ByteWriter writer(out);
  writer.u16_be(question.id).u16_be(kRecursionDesired).u16_be(1).zeros(6);
  for (std::string_view rest = name;;) {
    const std::size_t dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabel) return {};
    writer.u8(static_cast<std::uint8_t>(label.size())).bytes(base::as_bytes(label));
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  writer.u8(0).u16_be(static_cast<std::uint16_t>(question.type)).u16_be(kInternet);
  return writer.ok() ? out : std::vector<std::uint8_t>();
}

std::optional<Answer> parse_answer(base::Bytes message, const Question& question,
                                   std::size_t most) {
  base::ByteReader reader(message);
  const std::uint16_t id = reader.u16_be();
  const std::uint16_t flags = reader.u16_be();
  const std::uint16_t questions = reader.u16_be();
  const std::size_t count = reader.u16_be();
  if (message.size() < kHeaderSize || id != question.id) return std::nullopt;
  if ((flags & kResponse) == 0 || (flags & kOpcodeMask) != 0 || questions != 1) {
    return std::nullopt;
  }
  std::size_t at = kHeaderSize;
  const auto asked = read_name(message, at);
  if (!asked || *asked != canonical(question.name)) return std::nullopt;
  base::ByteReader kind(message.subspan(at));
  const std::uint16_t type = kind.u16_be();
  if (kind.u16_be() != kInternet || !kind.ok()) return std::nullopt;
  if (type != static_cast<std::uint16_t>(question.type)) return std::nullopt;
  at += 4;
  const std::uint16_t code = flags & 0x000f;
  if (code != 0 && code != kNoSuchName) return Answer{};
  std::vector<Record> records;
  for (std::size_t i = 0; i < std::min(count, kMaxRecords); ++i) {
    auto record = read_record(message, at);
    if (!record && (flags & kTruncated) != 0) break;
    if (!record) return std::nullopt;
    records.push_back(std::move(*record));
  }
  return answer_from(records, question, most);
}

}  // namespace warren::proxy::dns
