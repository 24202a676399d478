// Reading and writing connected stream sockets without blocking.
#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// Bytes read into `room`: 0 when none wait, nullopt when the other end is done.
[[nodiscard]] base::Result<std::optional<std::size_t>> read_some(const Fd& stream,
                                                                 base::MutableBytes room);
/// Bytes taken by the kernel, 0 when its buffer is full. Never raises SIGPIPE.
[[nodiscard]] base::Result<std::size_t> write_some(const Fd& stream, base::Bytes bytes);
/// A descriptor that swallows what is written and is at its end when read, for a child's standard
/// streams: /dev/null, or an empty file in memory where there is no /dev.
[[nodiscard]] base::Result<Fd> open_null();
/// Puts in the place of this descriptor (a terminal, say) the same file opened for writing alone,
/// or /dev/null where that is not allowed. A socket, and what cannot be read anyway, stays as it
/// is.
[[nodiscard]] base::Status make_write_only(int descriptor);

}  // namespace warren::os
