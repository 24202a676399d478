// start_clock COUNT COMMAND... ;; COMMAND...: starts each command in turn, COUNT times, and prints
// for every start "NUMBER NANOSECONDS TEXT": which command it was, the time from just before its
// exec to the moment that its program printed (CLOCK_BOOTTIME, its first word), and what else the
// program said. Interleaved, so that whatever disturbs one command disturbs them all.
//
// It adopts and reaps what a command leaves behind: podman waits for its monitor to be reaped.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace {

long long now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<long long>(now.tv_sec) * 1'000'000'000 + static_cast<long long>(now.tv_nsec);
}

[[noreturn]] void become(std::vector<char*> command, int output) {
  signal(SIGCHLD, SIG_DFL);
  if (dup2(output, STDOUT_FILENO) < 0) _exit(125);
  const long long began = now_ns();
  if (write(STDOUT_FILENO, &began, sizeof began) != sizeof began) _exit(125);
  command.push_back(nullptr);
  execvp(command[0], command.data());
  _exit(127);
}

/// All that one start said: eight bytes of ours, then the text of the program.
std::string start(const std::vector<char*>& command) {
  int ends[2];
  if (pipe(ends) < 0) return {};
  const pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    become(command, ends[1]);
  }
  close(ends[1]);
  std::string text;
  char room[512];
  for (ssize_t got = 0; (got = read(ends[0], room, sizeof room)) > 0;) {
    text.append(room, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  waitpid(pid, nullptr, 0);  // ECHILD once it has ended: nobody keeps its code
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 2 ? std::atol(argv[1]) : 0;
  std::vector<std::vector<char*>> commands(1);
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], ";;") == 0) {
      commands.emplace_back();
    } else {
      commands.back().push_back(argv[i]);
    }
  }
  signal(SIGCHLD, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  for (long i = 0; i < count; ++i) {
    for (std::size_t number = 0; number < commands.size(); ++number) {
      const std::string text = start(commands[number]);
      long long began = 0;
      if (text.size() <= sizeof began) {
        std::fprintf(stderr, "start_clock: command %zu failed\n", number);
        return 1;
      }
      std::memcpy(&began, text.data(), sizeof began);
      char* rest = nullptr;
      const long long reached = std::strtoll(text.c_str() + sizeof began, &rest, 10);
      std::printf("%zu %lld%s", number, reached - began, rest);
      std::fflush(stdout);
    }
  }
  return 0;
}
