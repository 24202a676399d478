// Strict JSON over nlohmann-json.
//
// Reading: the text becomes a tree (json_tree.cpp), which is bounded and has no key twice; then a
// Reader goes through the type's list of fields, takes each from the object and finally refuses
// whatever key is left. The first problem wins and is reported with its path ("networks[2].port").
// Writing goes through the same list. nlohmann-json throws only where it runs out of memory or is
// misused; both entry points catch.
#include "api/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "api/fields.hpp"
#include "api/json_tree.hpp"

namespace warren::api {

namespace {

using Json = nlohmann::ordered_json;

base::Error invalid(const std::string& message) {
  return base::make_error(base::ErrorKind::Invalid, message);
}

// --- writing ---

/// Writes the text itself: a list of ten thousand peers is two hundred thousand values, and a tree
/// of them costs ten times what their text does.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  template <typename T>
  void required(const char* key, const T& value) {
    out_ += first_ ? '{' : ',';
    first_ = false;
    out_.append(1, '"').append(key).append("\":");
    write(value);
  }
  template <typename T>
  void optional(const char* key, const T& value) {
    required(key, value);
  }
  template <typename T>
  void optional(const char* key, const std::optional<T>& value) {
    if (value) required(key, *value);
  }
  void end() { out_ += first_ ? "{}" : "}"; }

 private:
  void write(bool value) { out_ += value ? "true" : "false"; }
  void write(double value) { out_ += Json(value).dump(); }
  template <std::integral T>
  void write(T value) {
    std::array<char, 24> text{};
    const auto done = std::to_chars(text.data(), text.data() + text.size(), value);
    out_.append(text.data(), done.ptr);
  }
  void write(const std::string& value) {
    const bool plain = std::ranges::all_of(
        value, [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
    if (plain) {
      out_.append(1, '"').append(value).append(1, '"');
    } else {
      out_ += Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
    }
  }
  template <typename T>
  void write(const std::vector<T>& values) {
    out_ += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i != 0) out_ += ',';
      write(values[i]);
    }
    out_ += ']';
  }
  template <typename T>
    requires std::is_class_v<T>
  void write(const T& value) {
    Writer inner(out_);
    visit_fields(inner, value);
    inner.end();
  }

  std::string& out_;
  bool first_ = true;
};

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// --- reading ---

/// Reads one object. The first problem is kept in `error`; nothing more is read after it.
class Reader {
 public:
  Reader(const Json& object, std::string path, std::optional<base::Error>& error)
      : object_(object), path_(std::move(path)), error_(error) {}

  template <typename T>
  void required(const char* key, T& value) {
    if (!field(key, value)) fail(key, "is missing");
  }
  template <typename T>
  void optional(const char* key, T& value) {
    field(key, value);
  }
  template <typename T>
  void optional(const char* key, std::optional<T>& value) {
    T inner{};
    if (field(key, inner)) value = std::move(inner);
  }

  /// A member that is read elsewhere.
  void expect(const char* key) {
    known_.emplace_back(key);
    ++found_;
  }
  void refuse_unknown_keys() {
    if (found_ == object_.size()) return;
    for (const auto& item : object_.items()) {
      const bool known = std::ranges::find(known_, item.key()) != known_.end();
      if (!known) return fail(item.key(), "is not known");
    }
  }

 private:
  template <typename T>
  bool field(const char* key, T& value) {
    known_.emplace_back(key);
    if (error_) return true;
    // Whoever writes with the same list has the keys in the same order.
    const bool in_order = next_ != object_.end() && next_.key() == key;
    const auto at = in_order ? next_ : object_.find(key);
    if (at == object_.end()) return false;
    ++found_;
    read(*at, key, value);
    next_ = std::next(at);
    return true;
  }

  void fail(const std::string& key, const std::string& why) {
    // Keys come from the other side: at most a line of them is shown.
    constexpr std::size_t kShown = 100;
    if (!error_) error_ = invalid("key \"" + (path_ + key).substr(0, kShown) + "\" " + why);
  }
  void fail_type(const std::string& key, const char* wanted, const Json& found) {
    fail(key, std::string("must be ") + wanted + ", not " + found.type_name());
  }

  void read(const Json& json, const std::string& key, bool& value) {
    if (!json.is_boolean()) return fail_type(key, "true or false", json);
    value = json.get<bool>();
  }
  void read(const Json& json, const std::string& key, double& value) {
    if (!json.is_number()) return fail_type(key, "a number", json);
    value = json.get<double>();
  }
  void read(const Json& json, const std::string& key, std::string& value) {
    if (!json.is_string()) return fail_type(key, "a string", json);
    const auto& text = json.get_ref<const std::string&>();
    if (text.size() > kMaxStringBytes) return fail(key, "is too long");
    if (text.find('\0') != std::string::npos) return fail(key, "holds a zero byte");
    value = text;
  }
  template <std::integral T>
  void read(const Json& json, const std::string& key, T& value) {
    if (!json.is_number_integer()) return fail_type(key, "a whole number", json);
    const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<std::uint64_t>())
                                                : std::in_range<T>(json.get<std::int64_t>());
    if (!fits) {
      return fail(key, "must be from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
                           std::to_string(std::numeric_limits<T>::max()));
    }
    value = json.get<T>();
  }
  template <typename T>
  void read(const Json& json, const std::string& key, std::vector<T>& values) {
    if (!json.is_array()) return fail_type(key, "a list", json);
    if (json.size() > kMaxListEntries) return fail(key, "has too many entries");
    values.resize(json.size());
    for (std::size_t i = 0; i < json.size() && !error_; ++i) {
      read(json[i], key + "[" + std::to_string(i) + "]", values[i]);
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void read(const Json& json, const std::string& key, T& value) {
    if (!json.is_object()) return fail_type(key, "an object", json);
    Reader reader(json, path_ + key + ".", error_);
    visit_fields(reader, value);
    reader.refuse_unknown_keys();
  }

  const Json& object_;
  std::string path_;
  std::optional<base::Error>& error_;
  std::vector<std::string_view> known_;
  std::size_t found_ = 0;  ///< how many of them the object has
  Json::const_iterator next_ = object_.begin();
};

base::Status check_schema(const Json& json) {
  const auto schema = json.find("schema");
  if (schema == json.end()) return invalid("key \"schema\" is missing");
  if (schema->is_number_integer() && schema->get<std::int64_t>() == kSchema) return {};
  return base::make_error(base::ErrorKind::Invalid,
                          "key \"schema\" must be " + std::to_string(kSchema),
                          "both sides must run the same version of warren");
}

template <typename T>
base::Result<T> read_document(std::string_view text) {
  WARREN_TRY_ASSIGN(const Json json, parse_tree(text));
  WARREN_TRY(check_schema(json));
  std::optional<base::Error> error;
  T document{};
  Reader reader(json, "", error);
  reader.expect("schema");
  visit_fields(reader, document);
  reader.refuse_unknown_keys();
  if (error) return std::move(*error);
  return document;
}

constexpr std::array kKinds{base::ErrorKind::Failed,       base::ErrorKind::Invalid,
                            base::ErrorKind::NotFound,     base::ErrorKind::Conflict,
                            base::ErrorKind::NotPermitted, base::ErrorKind::Unavailable,
                            base::ErrorKind::Expired,      base::ErrorKind::Internal};

/// The error document is a type like the others, known only here.
struct ErrorBody {
  std::string kind;
  std::string message;
  std::string hint;
};

std::optional<base::Error> read_error(std::string_view text) {
  const auto json = parse_tree(text);
  if (!json || !check_schema(*json)) return std::nullopt;
  const auto body = json->find("error");
  if (json->size() != 2 || body == json->end() || !body->is_object()) return std::nullopt;
  std::optional<base::Error> problem;
  ErrorBody error;
  Reader reader(*body, "error.", problem);
  reader.required("kind", error.kind);
  reader.required("message", error.message);
  reader.required("hint", error.hint);
  reader.refuse_unknown_keys();
  if (problem) return std::nullopt;
  for (const base::ErrorKind kind : kKinds) {
    if (error.kind == base::to_string(kind)) {
      return base::make_error(kind, std::move(error.message), std::move(error.hint));
    }
  }
  return std::nullopt;
}

/// An error's text is shown to people; a longer one than a reader accepts would hide it whole.
std::string shortened(const std::string& text) { return text.substr(0, kMaxStringBytes / 2); }

}  // namespace

template <typename T>
std::string encode(const T& document) {
  std::string text;
  Writer writer(text);
  writer.required("schema", kSchema);
  visit_fields(writer, document);
  writer.end();
  return text;
}

template <typename T>
base::Result<T> decode(std::string_view text) {
  try {
    return read_document<T>(text);
  } catch (const std::exception& problem) {
    return invalid(std::string("the document cannot be read: ") + problem.what());
  }
}

std::string encode_error(const base::Error& error) {
  Json json = Json::object();
  json["schema"] = kSchema;
  json["error"]["kind"] = base::to_string(error.kind);
  json["error"]["message"] = shortened(error.message);
  json["error"]["hint"] = shortened(error.hint);
  return dump(json);
}

std::optional<base::Error> decode_error(std::string_view text) {
  try {
    return read_error(text);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

int http_status(base::ErrorKind kind) {
  switch (kind) {
    case base::ErrorKind::Invalid:
      return 400;
    case base::ErrorKind::NotPermitted:
      return 403;
    case base::ErrorKind::NotFound:
      return 404;
    case base::ErrorKind::Conflict:
      return 409;
    case base::ErrorKind::Expired:
      return 410;
    case base::ErrorKind::Unavailable:
      return 503;
    case base::ErrorKind::Failed:
    case base::ErrorKind::Internal:
      return 500;
  }
  return 500;
}

template std::string encode(const Empty&);
template base::Result<Empty> decode(std::string_view);
template std::string encode(const Reloaded&);
template base::Result<Reloaded> decode(std::string_view);
template std::string encode(const RoleAdd&);
template base::Result<RoleAdd> decode(std::string_view);
template std::string encode(const RoleSet&);
template base::Result<RoleSet> decode(std::string_view);
template std::string encode(const RoleView&);
template base::Result<RoleView> decode(std::string_view);
template std::string encode(const RoleList&);
template base::Result<RoleList> decode(std::string_view);
template std::string encode(const PolicySet&);
template base::Result<PolicySet> decode(std::string_view);
template std::string encode(const PolicyView&);
template base::Result<PolicyView> decode(std::string_view);
template std::string encode(const PolicyTest&);
template base::Result<PolicyTest> decode(std::string_view);
template std::string encode(const PolicyAnswer&);
template base::Result<PolicyAnswer> decode(std::string_view);
template std::string encode(const VerifyReport&);
template base::Result<VerifyReport> decode(std::string_view);
template std::string encode(const NetworkCreate&);
template base::Result<NetworkCreate> decode(std::string_view);
template std::string encode(const NetworkSet&);
template base::Result<NetworkSet> decode(std::string_view);
template std::string encode(const ForwardAdd&);
template base::Result<ForwardAdd> decode(std::string_view);
template std::string encode(const ForwardView&);
template base::Result<ForwardView> decode(std::string_view);
template std::string encode(const ForwardList&);
template base::Result<ForwardList> decode(std::string_view);
template std::string encode(const NetworkView&);
template base::Result<NetworkView> decode(std::string_view);
template std::string encode(const NetworkList&);
template base::Result<NetworkList> decode(std::string_view);
template std::string encode(const InviteRequest&);
template base::Result<InviteRequest> decode(std::string_view);
template std::string encode(const Invitation&);
template base::Result<Invitation> decode(std::string_view);
template std::string encode(const PeerView&);
template base::Result<PeerView> decode(std::string_view);
template std::string encode(const PeerAdd&);
template base::Result<PeerAdd> decode(std::string_view);
template std::string encode(const PeerBatch&);
template base::Result<PeerBatch> decode(std::string_view);
template std::string encode(const PeerKey&);
template base::Result<PeerKey> decode(std::string_view);
template std::string encode(const PeerRename&);
template base::Result<PeerRename> decode(std::string_view);
template std::string encode(const PeerList&);
template base::Result<PeerList> decode(std::string_view);
template std::string encode(const Revocation&);
template base::Result<Revocation> decode(std::string_view);
template std::string encode(const RevocationList&);
template base::Result<RevocationList> decode(std::string_view);
template std::string encode(const AuthorityList&);
template base::Result<AuthorityList> decode(std::string_view);
template std::string encode(const AuthorityRotate&);
template base::Result<AuthorityRotate> decode(std::string_view);
template std::string encode(const CertificateSign&);
template base::Result<CertificateSign> decode(std::string_view);
template std::string encode(const SignedCertificate&);
template base::Result<SignedCertificate> decode(std::string_view);
template std::string encode(const CertificateView&);
template base::Result<CertificateView> decode(std::string_view);
template std::string encode(const CertificateList&);
template base::Result<CertificateList> decode(std::string_view);
template std::string encode(const DoctorReport&);
template base::Result<DoctorReport> decode(std::string_view);
template std::string encode(const Status&);
template base::Result<Status> decode(std::string_view);
template std::string encode(const AuditEntry&);
template base::Result<AuditEntry> decode(std::string_view);
template std::string encode(const AuditSpan&);
template base::Result<AuditSpan> decode(std::string_view);
template std::string encode(const AuditList&);
template base::Result<AuditList> decode(std::string_view);
template std::string encode(const TokenCreate&);
template base::Result<TokenCreate> decode(std::string_view);
template std::string encode(const TokenView&);
template base::Result<TokenView> decode(std::string_view);
template std::string encode(const TokenList&);
template base::Result<TokenList> decode(std::string_view);
template std::string encode(const TokenCreated&);
template base::Result<TokenCreated> decode(std::string_view);
template std::string encode(const Event&);
template base::Result<Event> decode(std::string_view);
template std::string encode(const EnrolRequest&);
template base::Result<EnrolRequest> decode(std::string_view);
template std::string encode(const Environment&);
template base::Result<Environment> decode(std::string_view);
template std::string encode(const EnrolAnswer&);
template base::Result<EnrolAnswer> decode(std::string_view);
template std::string encode(const MemberRequest&);
template base::Result<MemberRequest> decode(std::string_view);
template std::string encode(const MemberState&);
template base::Result<MemberState> decode(std::string_view);
template std::string encode(const MemberLeft&);
template base::Result<MemberLeft> decode(std::string_view);

}  // namespace warren::api
