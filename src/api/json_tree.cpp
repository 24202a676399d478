// The tree is built here, and not by the library's own builder, which looks through all keys of an
// object for each that it adds, makes a value of every key, and silently keeps the last of two.
#include "api/json_tree.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/json.hpp"

namespace warren::api {

namespace {

using Json = nlohmann::ordered_json;

base::Error invalid(const std::string& message) {
  return base::make_error(base::ErrorKind::Invalid, message);
}

/// The keys of one object so far. Objects have few keys, and there are many of them.
class KeysSeen {
 public:
  /// False: it was there already.
  bool add(const std::string& key) {
    if (count_ >= kFew) return many_.insert(key).second && !among_few(key);
    if (among_few(key)) return false;
    if (few_.size() == count_) few_.emplace_back();
    few_[count_++] = key;  // keeps the memory that the last object's key had
    return true;
  }
  void clear() {
    count_ = 0;
    many_.clear();
  }
  [[nodiscard]] std::size_t size() const { return count_ + many_.size(); }

 private:
  static constexpr std::size_t kFew = 48;
  bool among_few(const std::string& key) const {
    const auto end = few_.begin() + static_cast<std::ptrdiff_t>(count_);
    return std::find(few_.begin(), end, key) != end;
  }
  std::vector<std::string> few_;
  std::size_t count_ = 0;
  std::set<std::string> many_;
};

/// What the parser tells, in the order of the text. False ends it.
class Builder {
 public:
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] Json take() { return std::move(root_); }

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(Json::number_integer_t value) { return put(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return put(value); }
  bool number_float(Json::number_float_t value, const std::string&) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(Json::binary_t&) { return fail("the document is not valid JSON"); }

  bool start_object(std::size_t) {
    if (!open(Json::object())) return false;
    // Objects of a list are alike.
    open_.back()->get_ref<Json::object_t&>().reserve(keys_before_);
    return true;
  }
  bool key(std::string& name) {
    KeysSeen& keys = keys_[open_.size()];
    if (keys.size() == kMaxKeys)
      return fail("an object has more than " + std::to_string(kMaxKeys) + " keys");
    if (!keys.add(name)) return fail("key \"" + name.substr(0, 100) + "\" is given twice");
    key_ = std::move(name);
    return true;
  }
  bool end_object() {
    keys_before_ = keys_[open_.size()].size();
    return close();
  }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) {
    return fail("the document is not valid JSON");
  }

 private:
  bool put(Json value) {
    if (open_.empty()) return fail("the document is not a JSON object");
    insert(std::move(value));
    return true;
  }
  Json& insert(Json value) {
    Json& parent = *open_.back();
    if (parent.is_array()) return parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
    // An ordered map is a vector of pairs; that the key is new is known.
    auto& pairs = parent.get_ref<Json::object_t&>();
    static_cast<Json::object_t::Container&>(pairs).emplace_back(std::move(key_), std::move(value));
    return pairs.back().second;
  }
  bool open(Json value) {
    if (open_.size() == kMaxDepth) return fail("the document is nested too deeply");
    if (open_.empty()) {
      if (!value.is_object()) return fail("the document is not a JSON object");
      root_ = std::move(value);
      open_.push_back(&root_);
    } else {
      // What is open is not moved by others: siblings are added to it alone once it is closed.
      open_.push_back(&insert(std::move(value)));
    }
    keys_[open_.size()].clear();
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  bool fail(std::string why) {
    if (problem_.empty()) problem_ = std::move(why);
    return false;
  }

  Json root_;
  std::vector<Json*> open_;
  std::array<KeysSeen, kMaxDepth + 1> keys_;
  std::size_t keys_before_ = 0;  ///< of the object that was closed last
  std::string key_;
  std::string problem_;
};

}  // namespace

base::Result<Json> parse_tree(std::string_view text) {
  if (text.size() > kMaxDocumentBytes) return invalid("the document is too large");
  Builder builder;
  if (!Json::sax_parse(text, &builder)) return invalid(builder.problem());
  return builder.take();
}

}  // namespace warren::api
