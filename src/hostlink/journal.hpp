// The list of what `warren up` did to its host, written before each step and read backwards to undo
// it (docs/formats/up-files.md).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "os/fd.hpp"
#include "os/rtnl.hpp"

namespace warren::hostlink {

/// One thing to undo.
struct Deed {
  enum class Kind { Socket, Link, Rule, Resolved, Resolvconf } kind = Kind::Socket;
  std::string name;         ///< a path, an interface, a record of resolvconf
  std::uint32_t index = 0;  ///< of the link
  os::Rule rule = {};
  bool operator==(const Deed&) const = default;

  [[nodiscard]] std::string write() const;
  /// How an administrator would undo it: "ip link del lab".
  [[nodiscard]] std::string remedy() const;
  [[nodiscard]] static std::optional<Deed> parse(const std::string& line);
};

class Journal {
 public:
  /// Conflict when there is one.
  [[nodiscard]] static base::Result<Journal> create(const std::string& path);
  /// Before the deed. After an error it must not be done.
  [[nodiscard]] base::Status add(const Deed& deed);

 private:
  explicit Journal(os::Fd file) : file_(std::move(file)) {}
  os::Fd file_;
};

/// Undoes what the file lists, the last first, and goes on past what fails; what could not be
/// undone stays in the file, else it is removed. What is not there any more, or not ours any more,
/// is left alone. A file of an earlier boot lists nothing that exists. Conflict in another network
/// namespace than that of the deeds. NotFound without a file. `tell` hears of each deed that was
/// there to be undone (of name servers always: who keeps them does not say).
[[nodiscard]] base::Status undo(const std::string& path,
                                const std::function<void(const Deed&)>& tell = {});

}  // namespace warren::hostlink
