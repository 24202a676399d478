// What every document looks like, for programs that want to know before they send one: a third
// visitor over the lists of fields, beside the ones that write and read, so that it cannot differ
// from them.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "api/fields.hpp"

namespace warren::api {

struct FieldType {
  enum class Kind : std::uint8_t { Text, Boolean, Number, Integer, List, Document };
  Kind kind = Kind::Text;
  std::int64_t least = 0;  ///< of an Integer
  std::uint64_t most = 0;
  std::string document = {};            ///< the name of a Document
  std::vector<FieldType> entries = {};  ///< one: what a List is of
};
struct FieldSchema {
  std::string key;
  bool required = false;
  FieldType type;
};
/// The fields of documents by their names: "NetworkView", "PolicyView.Rule".
using DocumentSchemas = std::map<std::string, std::vector<FieldSchema>>;

/// The name of a type of api/types.hpp as above.
template <typename T>
[[nodiscard]] std::string document_name() {
  std::string_view text = __PRETTY_FUNCTION__;  // "… [with T = warren::api::NetworkView; …]"
  text.remove_prefix(text.find("T = ") + 4);
  text = text.substr(0, text.find_first_of(";]"));
  constexpr std::string_view kSpace = "warren::api::";
  if (text.starts_with(kSpace)) text.remove_prefix(kSpace.size());
  std::string name(text);
  for (std::size_t at = name.find("::"); at != std::string::npos; at = name.find("::")) {
    name.replace(at, 2, ".");
  }
  return name;
}

template <typename T>
std::string describe(DocumentSchemas& into);

/// Visits an empty document and notes its fields.
class SchemaVisitor {
 public:
  SchemaVisitor(DocumentSchemas& all, std::vector<FieldSchema>& fields)
      : all_(all), fields_(fields) {}

  template <typename T>
  void required(const char* key, const T& value) {
    fields_.push_back({key, true, type_of(value)});
  }
  template <typename T>
  void optional(const char* key, const T& value) {
    fields_.push_back({key, false, type_of(value)});
  }
  template <typename T>
  void optional(const char* key, const std::optional<T>&) {
    optional(key, T{});
  }

 private:
  template <typename T>
  FieldType type_of(const T&) {
    using Kind = FieldType::Kind;
    FieldType type;
    if constexpr (std::same_as<T, bool>) {
      type.kind = Kind::Boolean;
    } else if constexpr (std::floating_point<T>) {
      type.kind = Kind::Number;
    } else if constexpr (std::integral<T>) {
      type.kind = Kind::Integer;
      type.least = static_cast<std::int64_t>(std::numeric_limits<T>::min());
      type.most = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    } else if constexpr (!std::same_as<T, std::string>) {
      type.kind = Kind::Document;
      type.document = describe<T>(all_);
    }
    return type;
  }
  template <typename T>
  FieldType type_of(const std::vector<T>&) {
    FieldType type{.kind = FieldType::Kind::List};
    type.entries.push_back(type_of(T{}));
    return type;
  }

  DocumentSchemas& all_;
  std::vector<FieldSchema>& fields_;
};

/// Adds the schema of a document, and of those inside it; its name.
template <typename T>
std::string describe(DocumentSchemas& into) {
  std::string name = document_name<T>();
  if (!into.try_emplace(name).second) return name;
  std::vector<FieldSchema> fields;
  SchemaVisitor visitor(into, fields);
  const T empty{};
  visit_fields(visitor, empty);
  into[name] = std::move(fields);
  return name;
}

}  // namespace warren::api
