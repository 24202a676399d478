#include "netns/signal_relay.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace warren::netns {

base::Result<SignalRelay> SignalRelay::create(PassOn pass_on) {
  WARREN_TRY_ASSIGN(os::SignalQueue signals,
                    os::SignalQueue::create({SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
                                             SIGWINCH, SIGTSTP, SIGCONT, SIGPIPE, SIGCHLD}));
  return SignalRelay(std::move(signals), std::move(pass_on));
}

void SignalRelay::handle(bool command_runs) {
  signalfd_siginfo info;
  while (read(descriptor(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const bool sent_by_process = info.ssi_code <= 0;  // else by the kernel for a terminal
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGPIPE || signal == SIGCHLD) continue;
    if (signal == SIGTSTP) {
      if (sent_by_process) pass_on_(SIGTSTP);
      kill(getpid(), SIGSTOP);
      pass_on_(SIGCONT);  // we run again
    } else if (sent_by_process || !command_runs) {
      pass_on_(signal);
    }
  }
}

}  // namespace warren::netns
