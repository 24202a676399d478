// Values of ours into the parameters of a statement, and out of its columns. Private to this
// module.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"
#include "base/key.hpp"
#include "base/time.hpp"

namespace warren::store_sqlite {

/// Binds the values of a statement one after another.
class Binder {
 public:
  explicit Binder(SQLite::Statement& statement) : statement_(statement) {}

  Binder& add(std::int64_t value) {
    statement_.bind(++index_, value);
    return *this;
  }
  Binder& add(const std::string& text) {
    statement_.bind(++index_, text);
    return *this;
  }
  Binder& blob(base::Bytes bytes) {
    statement_.bind(++index_, bytes.data(), static_cast<int>(bytes.size()));
    return *this;
  }
  Binder& key(const std::optional<base::PublicKey>& key) {
    if (key) return blob(key->bytes);
    return null();
  }
  Binder& add_or_null(std::optional<std::int64_t> value) {
    if (value) return add(*value);
    return null();
  }
  template <typename T>
  Binder& text_of(const std::optional<T>& value) {
    if (value) return add(value->to_string());
    return null();
  }

 private:
  Binder& null() {
    statement_.bind(++index_);
    return *this;
  }

  SQLite::Statement& statement_;
  int index_ = 0;
};

/// Puts a row into a table, or changes it in place where its key is there. `key` and `others` are
/// columns ("network, number"); the values are bound in this order.
inline std::string upsert(std::string_view table, std::string_view key, std::string_view others) {
  const std::string columns = std::string(key) + ", " + std::string(others);
  const auto count = static_cast<std::size_t>(std::ranges::count(columns, ',')) + 1;
  std::string sql = "INSERT INTO " + std::string(table) + " (" + columns + ") VALUES (?";
  for (std::size_t i = 1; i < count; ++i) sql += ", ?";
  sql += ") ON CONFLICT (" + std::string(key) + ") DO UPDATE SET ";
  for (std::size_t begin = 0; begin < others.size();) {
    const std::size_t end = std::min(others.find(", ", begin), others.size());
    const std::string column(others.substr(begin, end - begin));
    sql += (begin == 0 ? "" : ", ") + column + " = excluded." + column;
    begin = end + 2;
  }
  return sql;
}

/// Runs a statement with these values.
template <typename... Values>
void execute(SQLite::Database& database, const char* sql, const Values&... values) {
  SQLite::Statement statement(database, sql);
  Binder binder(statement);
  (binder.add(values), ...);
  statement.exec();
}

/// Reads the columns of a row one after another.
class Row {
 public:
  explicit Row(SQLite::Statement& statement) : statement_(statement) {}

  template <typename T = std::int64_t>
  T number() {
    const std::int64_t value = statement_.getColumn(index_++).getInt64();
    if (!std::in_range<T>(value)) damaged();
    return static_cast<T>(value);
  }
  std::string text() { return statement_.getColumn(index_++).getString(); }
  base::WallTime time() { return {number()}; }
  std::array<std::uint8_t, 32> bytes32() {
    const SQLite::Column column = statement_.getColumn(index_++);
    std::array<std::uint8_t, 32> bytes{};
    if (column.getBytes() != static_cast<int>(bytes.size())) damaged();
    const auto* data = static_cast<const std::uint8_t*>(column.getBlob());
    std::copy_n(data, bytes.size(), bytes.begin());
    return bytes;
  }
  std::optional<base::PublicKey> key() {
    if (null()) return std::nullopt;
    return base::PublicKey{bytes32()};
  }
  template <typename T>
  std::optional<T> number_or_null() {
    if (null()) return std::nullopt;
    return number<T>();
  }
  template <typename T>
  std::optional<T> parsed() {
    if (null()) return std::nullopt;
    const auto value = T::parse(text());
    if (!value) damaged();
    return value;
  }
  [[noreturn]] void damaged() {
    throw SQLite::Exception("column " + std::string(statement_.getColumnName(index_ - 1)) +
                                " holds what cannot be read",
                            SQLITE_CORRUPT);
  }

 private:
  bool null() {
    if (!statement_.isColumnNull(index_)) return false;
    ++index_;
    return true;
  }

  SQLite::Statement& statement_;
  int index_ = 0;
};

}  // namespace warren::store_sqlite
