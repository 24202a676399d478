// Theory of operation
//
// An archive is a list of named contents. A plain file is header, archive and a SHA-256 over both:
// it shows damage, not malice. A sealed file is header and the archive in chunks, each under
// ChaCha20-Poly1305 with its number as nonce; header and whether it is the last are authenticated
// with every chunk, so that none can be changed, moved, left out or cut off. The key is scrypt's,
// with a salt of its own for every file: no nonce is ever used twice with one key.
//
// Nothing of the archive is believed before all of it is authentic.
#include "backup/backup_file.hpp"

#include <algorithm>
#include <set>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "crypto/crypto.hpp"
#include "crypto/scrypt.hpp"

namespace warren::backup {

namespace {

using base::ErrorKind;
using base::make_error;

constexpr std::array<std::uint8_t, 8> kMagic = {'W', 'R', 'B', 'A', 'C', 'K', 'U', 'P'};
constexpr std::uint8_t kVersion = 1;
constexpr std::uint32_t kChunkSize = 65'536;
constexpr std::uint8_t kR = 8;
constexpr std::uint8_t kP = 1;
constexpr std::uint8_t kLeastLog2N = 10;
constexpr std::uint8_t kMostLog2N = 20;  // 1 GiB
constexpr std::size_t kMaxProgramSize = 100;

base::Error damaged(const std::string& what) {
  return make_error(ErrorKind::Invalid, "the backup is damaged: " + what,
                    "nothing was changed; take another copy of the file");
}

void append(std::string& out, base::Bytes bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

template <typename Write>
void append_number(std::string& out, Write&& write) {
  std::array<std::uint8_t, 8> raw{};
  base::ByteWriter writer(raw);
  write(writer);
  append(out, base::Bytes(raw).first(writer.written()));
}

std::string write_archive(const Contents& contents) {
  WARREN_ASSERT(contents.files.size() <= kMaxFiles && contents.program.size() <= kMaxProgramSize);
  std::size_t size = 64 + contents.program.size();
  for (const File& file : contents.files) size += 16 + file.name.size() + file.content.size();
  std::string out;
  out.reserve(size);
  append_number(
      out, [&](base::ByteWriter& to) { to.u64_be(static_cast<std::uint64_t>(contents.made.ns)); });
  const auto text = [&out](const std::string& value) {
    append_number(
        out, [&](base::ByteWriter& to) { to.u16_be(static_cast<std::uint16_t>(value.size())); });
    out += value;
  };
  text(contents.program);
  for (const File& file : contents.files) {
    WARREN_ASSERT(is_good_name(file.name));
    text(file.name);
    append_number(out, [&](base::ByteWriter& to) { to.u64_be(file.content.size()); });
    out += file.content;
  }
  text({});
  return out;
}

std::string text_of(base::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

base::Result<Contents> read_archive(base::Bytes archive) {
  base::ByteReader in(archive);
  Contents out;
  out.made = {static_cast<std::int64_t>(in.u64_be())};
  out.program = text_of(in.take(in.u16_be()));
  if (out.program.size() > kMaxProgramSize) return damaged("its maker's name is too long");
  std::set<std::string> names;
  for (;;) {
    std::string name = text_of(in.take(in.u16_be()));
    if (!in.ok()) return damaged("it ends in the middle");
    if (name.empty()) break;
    if (!is_good_name(name)) return damaged("it holds a file with a name that no backup has");
    if (!names.insert(name).second) return damaged("it holds " + name + " twice");
    if (names.size() > kMaxFiles) return damaged("it holds too many files");
    const std::uint64_t size = in.u64_be();
    if (size > in.rest().size()) return damaged("it ends in the middle");
    out.files.push_back(
        {.name = std::move(name), .content = text_of(in.take(static_cast<std::size_t>(size)))});
  }
  if (!in.done()) return damaged("something follows its end");
  return out;
}

/// Header and whether the chunk is the last.
std::array<std::uint8_t, kHeaderSize + 1> context_of(base::Bytes header, bool last) {
  std::array<std::uint8_t, kHeaderSize + 1> out{};
  std::ranges::copy(header, out.begin());
  out.back() = last ? 1 : 0;
  return out;
}

base::Result<std::string> open_chunks(base::Bytes file, const Header& header,
                                      const std::string& passphrase) {
  crypto::AeadKey key;
  WARREN_TRY(crypto::scrypt(passphrase, header.salt,
                            {.log2_n = header.log2_n, .r = header.r, .p = header.p}, key));
  const base::Bytes head = file.first(kHeaderSize);
  base::Bytes rest = file.subspan(kHeaderSize);
  std::string archive;
  archive.reserve(rest.size());
  std::vector<std::uint8_t> text(header.chunk_size);
  const std::size_t whole = std::size_t{header.chunk_size} + crypto::kTagSize;
  for (std::uint64_t number = 0;; ++number) {
    const bool last = rest.size() <= whole;
    const base::Bytes sealed = rest.first(std::min(rest.size(), whole));
    if (sealed.size() < crypto::kTagSize) return damaged("it is cut off");
    rest = rest.subspan(sealed.size());
    const auto opened = base::MutableBytes(text).first(sealed.size() - crypto::kTagSize);
    const auto context = context_of(head, last);
    const bool good = crypto::aead_open(key.view(), number, context, sealed, opened);
    if (good) append(archive, opened);
    crypto::wipe(opened);
    if (!good && number == 0 && !last) {
      return make_error(ErrorKind::Invalid, "the passphrase is wrong, or the backup is damaged",
                        "nothing was changed; the passphrase is the first line of its file");
    }
    if (!good && number == 0) {
      return make_error(ErrorKind::Invalid,
                        "the passphrase is wrong, or the backup is damaged or cut off",
                        "nothing was changed; the passphrase is the first line of its file");
    }
    if (!good) return damaged("it was changed or cut off");
    if (last) return archive;
  }
}

}  // namespace

const File* Contents::find(std::string_view name) const {
  const auto found = std::ranges::find(files, name, &File::name);
  return found == files.end() ? nullptr : &*found;
}

bool is_good_name(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
  if (name.empty() || name.size() > kMaxNameSize) return false;
  if (name.find_first_not_of(kAllowed) != std::string_view::npos) return false;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    const std::string_view part = name.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return false;
    at = end + 1;
  }
  return true;
}

std::array<std::uint8_t, kHeaderSize> write_header(const Header& header) {
  std::array<std::uint8_t, kHeaderSize> out{};
  base::ByteWriter to(out);
  to.bytes(kMagic)
      .u8(kVersion)
      .u8(static_cast<std::uint8_t>(header.protection))
      .u8(header.log2_n)
      .u8(header.r)
      .u8(header.p)
      .zeros(3)
      .u32_be(header.chunk_size)
      .zeros(4)
      .bytes(header.salt);
  WARREN_ASSERT(to.ok() && to.written() == kHeaderSize);
  return out;
}

base::Result<Header> read_header(base::Bytes file) {
  base::ByteReader in(file);
  if (in.array<8>() != kMagic) {
    return make_error(ErrorKind::Invalid, "this is no backup of warren",
                      "`warren backup FILE` writes one; one to a certificate is opened with "
                      "--recipient-key");
  }
  const std::uint8_t version = in.u8();
  Header header;
  const std::uint8_t protection = in.u8();
  header.log2_n = in.u8();
  header.r = in.u8();
  header.p = in.u8();
  const auto reserved = in.array<3>();
  header.chunk_size = in.u32_be();
  const std::uint32_t more = in.u32_be();
  header.salt = in.array<32>();
  if (!in.ok()) return damaged("it is cut off");
  if (version != kVersion) {
    return make_error(ErrorKind::Conflict,
                      "the backup has version " + std::to_string(version) +
                          ", this program knows version " + std::to_string(kVersion),
                      "restore it with the warren that made it, or a newer one");
  }
  const bool zeros = reserved == std::array<std::uint8_t, 3>{} && more == 0;
  if (protection > 1 || !zeros) return damaged("its header is none");
  header.protection = static_cast<Protection>(protection);
  const bool sealed = header.protection == Protection::Passphrase;
  const Header none;
  const bool fits = sealed ? header.log2_n >= kLeastLog2N && header.log2_n <= kMostLog2N &&
                                 header.r == kR && header.p == kP && header.chunk_size == kChunkSize
                           : header == none;
  if (!fits) return damaged("its header is none");
  return header;
}

std::string write_plain(const Contents& contents) {
  std::string out;
  append(out, write_header({}));
  out += write_archive(contents);
  append(out, crypto::sha256(base::as_bytes(out)));
  return out;
}

base::Result<std::string> write_sealed(const Contents& contents, std::string_view passphrase,
                                       base::RandomSource& random, Effort effort) {
  Header header{.protection = Protection::Passphrase,
                .log2_n = effort.log2_n,
                .r = kR,
                .p = kP,
                .chunk_size = kChunkSize,
                .salt = {}};
  random.fill(header.salt);
  crypto::AeadKey key;
  WARREN_TRY(crypto::scrypt(passphrase, header.salt,
                            {.log2_n = header.log2_n, .r = header.r, .p = header.p}, key));
  const auto head = write_header(header);
  std::string archive = write_archive(contents);
  std::string out;
  out.reserve(archive.size() + archive.size() / kChunkSize * crypto::kTagSize + 256);
  append(out, head);
  base::Bytes rest = base::as_bytes(archive);
  std::vector<std::uint8_t> sealed;
  for (std::uint64_t number = 0;; ++number) {
    const bool last = rest.size() <= kChunkSize;
    const base::Bytes text = rest.first(std::min<std::size_t>(rest.size(), kChunkSize));
    rest = rest.subspan(text.size());
    sealed.resize(text.size() + crypto::kTagSize);
    crypto::aead_seal(key.view(), number, context_of(head, last), text, sealed);
    append(out, sealed);
    if (last) break;
  }
  crypto::wipe({reinterpret_cast<std::uint8_t*>(archive.data()), archive.size()});
  return out;
}

base::Result<Contents> read(base::Bytes file, const std::optional<std::string>& passphrase) {
  WARREN_TRY_ASSIGN(const Header header, read_header(file));
  if (file.size() > kMaxBytes) return damaged("it is larger than any backup");
  if (header.protection == Protection::Passphrase) {
    if (!passphrase) {
      return make_error(ErrorKind::Invalid, "the backup is sealed with a passphrase",
                        "give the file that holds it: --passphrase-file FILE (- for standard "
                        "input)");
    }
    WARREN_TRY_ASSIGN(std::string archive, open_chunks(file, header, *passphrase));
    auto contents = read_archive(base::as_bytes(archive));
    crypto::wipe({reinterpret_cast<std::uint8_t*>(archive.data()), archive.size()});
    return contents;
  }
  if (passphrase) {
    return make_error(ErrorKind::Invalid, "the backup is not sealed: no passphrase opens it",
                      "leave --passphrase-file out if this is the file you meant");
  }
  if (file.size() < kHeaderSize + crypto::kHashSize) return damaged("it is cut off");
  const base::Bytes covered = file.first(file.size() - crypto::kHashSize);
  if (!std::ranges::equal(crypto::sha256(covered), file.last(crypto::kHashSize))) {
    return damaged("its checksum is wrong; it was changed or cut off");
  }
  return read_archive(covered.subspan(kHeaderSize));
}

}  // namespace warren::backup
