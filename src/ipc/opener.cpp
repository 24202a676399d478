#include "ipc/opener.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <type_traits>

#include "base/assert.hpp"

namespace warren::ipc {

namespace {

// The type on the wire is the number of OpenerBody's alternative plus one.
constexpr std::size_t kNameSize = 16;  // IFNAMSIZ
constexpr std::size_t kHeaderSize = 8;

static_assert(kHeaderSize + 2 + kMaxReportFeatures + kMaxReportCounters * (9 + kMaxReportName) <=
              kMaxOpenerMessage);

void write_name(base::ByteWriter& out, const std::string& name) {
  WARREN_ASSERT(name.size() < kNameSize);
  out.bytes(base::as_bytes(name)).zeros(kNameSize - name.size());
}

/// The text before the first zero byte; nullopt when there is none or bytes follow it.
std::optional<std::string> read_name(base::ByteReader& in) {
  const auto raw = in.array<kNameSize>();
  const auto end = std::find(raw.begin(), raw.end(), std::uint8_t{0});
  if (end == raw.end()) return std::nullopt;
  if (std::any_of(end, raw.end(), [](std::uint8_t byte) { return byte != 0; })) {
    return std::nullopt;
  }
  return std::string(raw.begin(), end);
}

constexpr std::uint8_t kAllOffloads = 0x3f;

/// 0 or 1 and nothing else.
bool read_flag(base::ByteReader& in, bool& valid) {
  const std::uint8_t value = in.u8();
  if (value > 1) valid = false;
  return value == 1;
}

struct BodyWriter {
  base::ByteWriter& out;

  static std::uint8_t flag(bool value) { return value ? 1 : 0; }

  void operator()(const Hello& m) const { out.u16_le(m.version); }
  void operator()(const OpenUdp& m) const { out.u16_le(m.port).u32_le(m.mark); }
  void operator()(const SetMark& m) const { out.u32_le(m.mark); }
  void operator()(const HelloReply& m) const {
    out.u16_le(m.version).u16_le(m.mtu);
    out.u8(flag(m.extension)).u8(flag(m.hints)).u8(flag(m.exit_with_opener));
    out.u8(m.tun_offloads).u8(m.max_workers);
    write_name(out, m.interface_name);
  }
  void operator()(const OpenUdpReply& m) const {
    out.u32_le(static_cast<std::uint32_t>(m.error)).u16_le(m.port);
    out.u8(flag(m.has_v4)).u8(flag(m.has_v6));
  }
  void operator()(const Done& m) const { out.u32_le(static_cast<std::uint32_t>(m.error)); }
  void operator()(const LinkChanged& m) const { out.u8(flag(m.up)).u16_le(m.mtu); }
  void operator()(const NetworkChanged&) const {}
  void operator()(const Shutdown&) const {}
  void operator()(const Adopted& m) const {
    out.u16_le(m.version).u16_le(m.port).u32_le(m.mark);
    out.u8(flag(m.hints)).u8(flag(m.has_v4)).u8(flag(m.has_v6)).u8(m.tun_offloads);
    write_name(out, m.interface_name);
  }
  void operator()(const OpenWorker& m) const {
    out.u16_le(m.port).u32_le(m.mark).u8(flag(m.queue));
  }
  void operator()(const OpenWorkerReply& m) const {
    out.u32_le(static_cast<std::uint32_t>(m.error)).u8(flag(m.has_v4)).u8(flag(m.has_v6));
  }
  void text(const std::string& value) const {
    out.u8(static_cast<std::uint8_t>(value.size())).bytes(base::as_bytes(value));
  }
  void operator()(const Report& m) const {
    WARREN_ASSERT(m.features.size() <= kMaxReportFeatures);
    WARREN_ASSERT(m.counters.size() <= kMaxReportCounters);
    text(m.features);
    out.u8(static_cast<std::uint8_t>(m.counters.size()));
    for (const Report::Counter& counter : m.counters) {
      WARREN_ASSERT(!counter.name.empty() && counter.name.size() <= kMaxReportName);
      text(counter.name);
      out.u64_le(counter.value);
    }
  }
};

struct BodyReader {
  base::ByteReader& in;
  bool valid = true;

  int error() {
    const std::uint32_t value = in.u32_le();
    if (value > 4095) valid = false;
    return valid ? static_cast<int>(value) : 0;
  }
  std::string name() {
    auto text = read_name(in);
    if (!text) valid = false;
    return std::move(text).value_or(std::string());
  }

  std::uint8_t offloads() {
    const std::uint8_t bits = in.u8();
    if ((bits & ~kAllOffloads) != 0) valid = false;
    return bits;
  }
  std::uint8_t workers() {
    const std::uint8_t count = in.u8();
    if (count == 0) valid = false;
    return count;
  }

  /// Of a message that another release wrote: what it says behind its version is not ours to read.
  bool foreign(std::uint16_t version) {
    if (version == kOpenerVersion) return false;
    static_cast<void>(in.take(in.rest().size()));
    return true;
  }

  // Fields are read in wire order, one statement each.
  void read(Hello& m) { m.version = in.u16_le(); }
  void read(OpenUdp& m) {
    m.port = in.u16_le();
    m.mark = in.u32_le();
  }
  void read(SetMark& m) { m.mark = in.u32_le(); }
  void read(HelloReply& m) {
    m.version = in.u16_le();
    if (foreign(m.version)) return;
    m.mtu = in.u16_le();
    m.extension = read_flag(in, valid);
    m.hints = read_flag(in, valid);
    m.exit_with_opener = read_flag(in, valid);
    m.tun_offloads = offloads();
    m.max_workers = workers();
    m.interface_name = name();
  }
  void read(OpenUdpReply& m) {
    m.error = error();
    m.port = in.u16_le();
    m.has_v4 = read_flag(in, valid);
    m.has_v6 = read_flag(in, valid);
  }
  void read(Done& m) { m.error = error(); }
  void read(LinkChanged& m) {
    m.up = read_flag(in, valid);
    m.mtu = in.u16_le();
  }
  void read(NetworkChanged&) {}
  void read(Shutdown&) {}
  void read(Adopted& m) {
    m.version = in.u16_le();
    if (foreign(m.version)) return;
    m.port = in.u16_le();
    m.mark = in.u32_le();
    m.hints = read_flag(in, valid);
    m.has_v4 = read_flag(in, valid);
    m.has_v6 = read_flag(in, valid);
    m.tun_offloads = offloads();
    m.interface_name = name();
  }
  void read(OpenWorker& m) {
    m.port = in.u16_le();
    m.mark = in.u32_le();
    m.queue = read_flag(in, valid);
  }
  void read(OpenWorkerReply& m) {
    m.error = error();
    m.has_v4 = read_flag(in, valid);
    m.has_v6 = read_flag(in, valid);
  }
  std::string text(std::size_t least, std::size_t most) {
    const std::size_t size = in.u8();
    const base::Bytes raw = in.take(size);
    const bool printable =
        std::ranges::all_of(raw, [](std::uint8_t byte) { return byte >= 0x20 && byte < 0x7f; });
    if (size < least || size > most || raw.size() != size || !printable) valid = false;
    return {raw.begin(), raw.end()};
  }
  void read(Report& m) {
    m.features = text(0, kMaxReportFeatures);
    const std::size_t count = in.u8();
    if (count > kMaxReportCounters) valid = false;
    for (std::size_t i = 0; i < count && valid && in.ok(); ++i) {
      Report::Counter& counter = m.counters.emplace_back();
      counter.name = text(1, kMaxReportName);
      counter.value = in.u64_le();
    }
  }
};

/// Makes `body` the alternative of this number; false when there is none.
template <std::size_t Index = 0>
bool emplace(OpenerBody& body, std::size_t index) {
  if constexpr (Index == std::variant_size_v<OpenerBody>) {
    return false;
  } else {
    if (index != Index) return emplace<Index + 1>(body, index);
    body.emplace<Index>();
    return true;
  }
}

}  // namespace

std::vector<std::uint8_t> write_opener(const OpenerMessage& message) {
  std::array<std::uint8_t, kMaxOpenerMessage> room{};
  base::ByteWriter out(room);
  out.u16_le(static_cast<std::uint16_t>(message.body.index() + 1)).u16_le(0);
  out.u32_le(message.sequence);
  std::visit(BodyWriter{out}, message.body);
  WARREN_ASSERT(out.ok());
  return {room.begin(), room.begin() + static_cast<std::ptrdiff_t>(out.written())};
}

base::Result<OpenerMessage> parse_opener(base::Bytes bytes) {
  base::ByteReader in(bytes);
  const std::uint16_t type = in.u16_le();
  const std::uint16_t reserved = in.u16_le();
  OpenerMessage message;
  message.sequence = in.u32_le();
  if (!in.ok() || reserved != 0 || type == 0 || !emplace(message.body, type - 1U)) {
    return base::make_error(base::ErrorKind::Invalid, "opener message: unknown type");
  }
  BodyReader reader{in};
  std::visit([&](auto& body) { reader.read(body); }, message.body);
  if (!reader.valid || !in.done()) {
    return base::make_error(base::ErrorKind::Invalid,
                            "opener message of type " + std::to_string(type) + ": malformed");
  }
  return message;
}

}  // namespace warren::ipc
