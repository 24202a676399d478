// Client: one AnyConnect session through libopenconnect.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <openconnect.h>

#include "apps/warren-openconnect/channel.hpp"
#include "base/address.hpp"
#include "base/result.hpp"
#include "ipc/anyconnect.hpp"

namespace warren::app {

class Client {
 public:
  /// `channel` outlives this.
  Client(ipc::AnyConnectMessage start, Channel& channel);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Everything that needs files or name service: looks the host up, reads certificates and key.
  [[nodiscard]] base::Status prepare();
  /// Lets the channel listen.
  void listen() { channel_.listen(command_); }
  /// Logs in, or resumes the session that the start message names, and tells what the server gave.
  [[nodiscard]] base::Status log_in();
  /// Carries packets between the tun and the server until told to end (ok), or until the session
  /// is over.
  [[nodiscard]] base::Status carry();

  // Called by the library.
  void note(int level, std::string text);
  [[nodiscard]] int validate_certificate(const char* reason);
  [[nodiscard]] int fill_form(oc_auth_form& form);
  [[nodiscard]] int look_up(const char* host, const char* service, addrinfo** found) const;
  /// Tells that packets flow, and how; nothing while that is as told.
  void tell_up();

 private:
  struct Release {
    void operator()(openconnect_info* session) const { openconnect_vpninfo_free(session); }
  };

  [[nodiscard]] base::Status resolve();
  [[nodiscard]] base::Status configure();
  [[nodiscard]] base::Status rehearse();
  [[nodiscard]] base::Status obtain_cookie();
  [[nodiscard]] base::Status resume();
  [[nodiscard]] base::Status tell_session();
  [[nodiscard]] base::Status take_tun(os::Fd tun);
  [[nodiscard]] base::Status failure(const std::string& what, int code);
  [[nodiscard]] bool answer(oc_form_opt& option, const oc_auth_form& form);
  [[nodiscard]] bool choose(oc_form_opt& option, const oc_auth_form& form);

  ipc::AnyConnectMessage start_;
  Channel& channel_;
  std::string host_;
  std::vector<base::Endpoint> endpoints_;
  base::Endpoint* rehearsal_ = nullptr;  ///< while it is on: where every connection goes
  std::unique_ptr<openconnect_info, Release> session_;
  std::string first_error_;         ///< of the step that is on: the library's words
  std::string status_;              ///< of the server's last answer: "200 OK"
  std::string untrusted_;           ///< why the server's certificate was refused
  std::vector<std::string> asked_;  ///< keys of questions
  bool ask_failed_ = false;
  bool group_chosen_ = false;
  int command_ = -1;  ///< the library's
  int told_mtu_ = 0;
  std::string told_transport_;  ///< empty: packets do not flow yet
};

}  // namespace warren::app
