// The JSON of the API's documents: strict codecs for every type of api/types.hpp.
//
// A document is an object with "schema": 1 beside the type's members, under their own names.
// Optional members are left out when absent. Decoding refuses, as Invalid and with the key's path:
// a wrong or missing schema, an unknown key, a key given twice, a missing key without a default, a
// wrong type, a number out of range, text that is not UTF-8, and more levels, keys of an object or
// bytes than kMaxDepth, kMaxKeys and kMaxDocumentBytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/types.hpp"
#include "base/result.hpp"

namespace warren::api {

inline constexpr int kSchema = 1;
inline constexpr std::size_t kMaxDocumentBytes = 16 << 20;
inline constexpr std::size_t kMaxDepth = 8;
inline constexpr std::size_t kMaxKeys = 256;  ///< of one object; no document has as many
inline constexpr std::size_t kMaxStringBytes = 64 << 10;
inline constexpr std::size_t kMaxListEntries = 100'000;

// Both functions exist for the types of api/types.hpp and for no other.

/// One line of JSON. Bytes that are not UTF-8 become U+FFFD.
template <typename T>
[[nodiscard]] std::string encode(const T& document);
template <typename T>
[[nodiscard]] base::Result<T> decode(std::string_view text);

/// {"schema":1,"error":{"kind":…,"message":…,"hint":…}}
[[nodiscard]] std::string encode_error(const base::Error& error);
/// The error that a document carries; nullopt when it is no error document.
[[nodiscard]] std::optional<base::Error> decode_error(std::string_view text);
/// The status an error is answered with.
[[nodiscard]] int http_status(base::ErrorKind kind);

}  // namespace warren::api
