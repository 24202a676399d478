#include "netns/doctor.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "netns/control.hpp"
#include "netns/init.hpp"
#include "netns/run.hpp"
#include "netns/runtime_dir.hpp"
#include "os/file.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

// Theory of operation. The settings that may forbid user namespaces are read one by one; those that
// say nothing are not shown. What decides is a real attempt: an init is cloned as for a run and
// does all that it does before a command, with addresses of a documentation range and without an
// engine; its failure carries the same hint that `warren run` would show.
//
// EPERM has many causes. The kernel checks the flags of unshare(2) before any permission, so flags
// that do not exist give EINVAL, unless a seccomp filter answers in its place.

namespace warren::netns {

namespace {

using State = Finding::State;
constexpr std::size_t kSmallFile = 4096;

std::string setting(const std::string& path) {
  std::string text = os::read_file(path, kSmallFile).value_or("");
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string seccomp_mode() {
  const std::string status = setting("/proc/self/status");
  const std::size_t at = status.find("\nSeccomp:");
  if (at == std::string::npos) return "";
  const std::size_t digit = status.find_first_of("0123456789", at);
  return digit == std::string::npos ? "" : status.substr(digit, 1);
}

void check_settings(std::vector<Finding>& out) {
  const auto bad = [&](const std::string& text, const std::string& remedy) {
    out.push_back({"user namespaces", State::Bad, text, remedy});
  };
  for (const char* kind : {"user", "net", "mnt", "pid"}) {
    const std::string name = std::string("user.max_") + kind + "_namespaces";
    if (setting("/proc/sys/user/max_" + std::string(kind) + "_namespaces") == "0") {
      bad("sysctl " + name + " is 0", "as root: sysctl -w " + name + "=15000");
    }
  }
  if (setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" && geteuid() != 0) {
    bad("sysctl kernel.unprivileged_userns_clone is 0",
        "as root: sysctl -w kernel.unprivileged_userns_clone=1");
  }
  if (setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" && geteuid() != 0) {
    const std::string profile = setting("/proc/self/attr/current");
    const bool named = profile.starts_with("warren");
    out.push_back({"AppArmor", named ? State::Good : State::Weak,
                   "it restricts user namespaces; this program's profile is " +
                       (profile.empty() ? std::string("unknown") : profile),
                   named ? ""
                         : "as root: install the profile /etc/apparmor.d/warren that comes with "
                           "warren, then apparmor_parser -r /etc/apparmor.d/warren"});
  }
  if (seccomp_refuses_namespaces()) {
    out.push_back({"seccomp", State::Bad,
                   "a filter around this process refuses unshare(2), whatever it is asked for",
                   "start the surrounding container with a profile that allows clone, unshare, "
                   "setns and mount (podman, docker: --security-opt seccomp=unconfined), or run "
                   "warren outside of it"});
  } else if (seccomp_mode() == "2") {
    out.push_back({"seccomp", State::Good, "a filter is active and lets namespaces pass", ""});
  }
}

void check_tun(std::vector<Finding>& out) {
  struct stat there{};
  if (stat("/dev/net/tun", &there) < 0) {
    out.push_back({"/dev/net/tun", State::Bad, "it does not exist",
                   "as root: modprobe tun; in a container: --device /dev/net/tun"});
    return;
  }
  if (!S_ISCHR(there.st_mode)) {
    out.push_back({"/dev/net/tun", State::Bad, "it is not a device",
                   "as root: rm it, then mknod -m 666 /dev/net/tun c 10 200"});
    return;
  }
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(there.st_mode & 07777));
  const os::Fd device(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (device) {
    out.push_back(
        {"/dev/net/tun", State::Good, "may be opened (mode " + std::string(mode.data()) + ")", ""});
    return;
  }
  const int why = errno;
  if (why == EACCES) {
    out.push_back({"/dev/net/tun", State::Bad,
                   "its mode " + std::string(mode.data()) + " does not let this user open it",
                   "as root: chmod 0666 /dev/net/tun (harmless: a device is made only where its "
                   "maker may), and for the next boot a udev rule KERNEL==\"tun\", MODE=\"0666\""});
  } else if (why == EPERM) {
    out.push_back({"/dev/net/tun", State::Bad, "the device rules of a container forbid it",
                   "start the container with --device /dev/net/tun"});
  } else {
    out.push_back({"/dev/net/tun", State::Bad, base::os_error("open it", why).message,
                   why == ENODEV || why == ENXIO ? "as root: modprobe tun" : ""});
  }
}

void check_surroundings(std::vector<Finding>& out) {
  const auto engine = engine_program();
  out.push_back({"engine", engine ? State::Good : State::Bad,
                 engine ? *engine : engine.error().message, engine ? "" : engine.error().hint});
  const auto directory = runtime_directory();
  out.push_back({"runtime directory", directory ? State::Good : State::Bad,
                 directory ? *directory : directory.error().message,
                 directory ? "" : directory.error().hint});
}

RunConfig sample_config() {
  RunConfig config;
  config.name = "doctor";
  config.addresses = {*base::Prefix::parse("192.0.2.2/32")};
  config.routes = {*base::Prefix::parse("192.0.2.0/24")};
  config.runtime_dir = runtime_directory().value_or("");
  const char* session = std::getenv("XDG_RUNTIME_DIR");
  if (session != nullptr && *session == '/') config.session_dir = session;
  return config;
}

/// All that an init does before its command.
base::Status try_run() {
  RunConfig config = sample_config();
  EtcFiles etc = etc_files(config);
  WARREN_TRY_ASSIGN(auto pair, os::unix_pair(os::UnixType::SeqPacket));
  WARREN_TRY_ASSIGN(InitChild child, clone_init());
  if (child.is_init) {
    pair.first.reset();
    run_init(child, config, std::move(etc), std::move(pair.second));
  }
  pair.second.reset();
  auto message = receive_control(pair.first);
  const bool failed = message && !message->closed && message->type == Control::Failure;
  const bool good = message && !message->closed && message->type == Control::Tun;
  pair.first.reset();  // it ends
  static_cast<void>(os::wait_for(child.child));
  if (failed) return read_failure(*message).error;
  if (good) return {};
  return base::make_error(base::ErrorKind::Failed, "the trial run ended without a word");
}

}  // namespace

bool seccomp_refuses_namespaces() {
  constexpr int kNoSuchFlag = 0x1;
  if (unshare(CLONE_NEWUSER | kNoSuchFlag) == 0) return false;
  return errno == EPERM || errno == EACCES || errno == ENOSYS;
}

std::vector<Finding> diagnose() {
  std::vector<Finding> out;
  check_settings(out);
  check_tun(out);
  check_surroundings(out);
  const base::Status tried = try_run();
  if (tried) {
    out.push_back(
        {"trial run", State::Good, "namespaces, mounts, tun, addresses and routes work", ""});
    return out;
  }
  out.push_back({"trial run", State::Bad, tried.error().message, tried.error().hint});
  return out;
}

}  // namespace warren::netns
