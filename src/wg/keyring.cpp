#include "wg/keyring.hpp"

namespace warren::wg {

void Keyring::install(std::unique_ptr<Keypair> fresh) {
  if (fresh->session.role() == Role::Initiator) {
    // An unconfirmed session of the same moment (both sides initiated at once) may still receive.
    previous_ = next_ ? std::move(next_) : std::move(current_);
    current_ = std::move(fresh);
  } else {
    next_ = std::move(fresh);
    previous_.reset();
  }
}

bool Keyring::confirm(const Session& received) {
  if (!next_ || &next_->session != &received) return false;
  previous_ = std::move(current_);
  current_ = std::move(next_);
  return true;
}

Session* Keyring::find(Index local) {
  for (Keypair* pair : {current_.get(), previous_.get(), next_.get()}) {
    if (pair != nullptr && pair->session.local_index() == local) return &pair->session;
  }
  return nullptr;
}

void Keyring::clear() {
  previous_.reset();
  current_.reset();
  next_.reset();
}

}  // namespace warren::wg
