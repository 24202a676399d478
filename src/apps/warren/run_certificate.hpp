// A run with a token joins its network, with a certificate where the user named a place for it.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "client/join.hpp"
#include "model/network.hpp"

namespace warren::app {

/// Joins for the duration of a run. For a `directory` that is not empty, `certificate` says where
/// the member's certificate is kept there; a gateway that gives none now is asked again later.
[[nodiscard]] base::Result<client::RunMember> join_for_run(
    const model::TokenText& token, const std::string& directory,
    std::optional<client::CertificateFiles>& certificate);
/// Invalid for a run that has its certificate beside its profile, or none.
[[nodiscard]] base::Status check_certificate_dir(const std::string& directory, bool is_token);

}  // namespace warren::app
