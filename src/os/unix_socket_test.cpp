#include "os/unix_socket.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "os/file.hpp"
#include "os/scratch_directory.hpp"

namespace warren::os {
namespace {

using base::ErrorKind;
using testing::ElementsAre;
using testing::HasSubstr;

mode_t mode_of(const std::string& path) {
  struct stat there{};
  return lstat(path.c_str(), &there) == 0 ? there.st_mode & 07777 : 0;
}

class Umask {
 public:
  explicit Umask(mode_t mask) : before_(umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { umask(before_); }

 private:
  mode_t before_;
};

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

// unix_listen stands on this behaviour of the kernel.
TEST(UnixListen, TheKernelTakesTheModeOfTheSocketAtBind) {
  const ScratchDirectory scratch;
  const Umask open_wide(0);
  const Fd raw(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(fchmod(raw.get(), 0600), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = scratch / "s";
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(bind(raw.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(mode_of(path), 0600U);
}

TEST(UnixListen, HasItsModeWhateverTheUmask) {
  const ScratchDirectory scratch;
  for (const mode_t mask : {0U, 0022U, 0077U}) {
    const Umask set(mask);
    const std::string path = scratch / ("s" + std::to_string(mask));
    const auto listener = unix_listen(UnixType::Stream, path, 0660);
    ASSERT_TRUE(listener) << listener.error().message;
    EXPECT_EQ(mode_of(path), 0660U);
  }
}

TEST(UnixListen, ReplacesAStaleSocket) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "s";
  {
    ASSERT_TRUE(unix_listen(UnixType::SeqPacket, path, 0600));
  }
  EXPECT_EQ(unix_connect(UnixType::Stream, path).error().kind, ErrorKind::Unavailable);
  const auto again = unix_listen(UnixType::Stream, path, 0600);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(unix_connect(UnixType::Stream, path));
}

TEST(UnixListen, RefusesAPathInUse) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "s";
  const auto listener = unix_listen(UnixType::Stream, path, 0600);
  ASSERT_TRUE(listener);
  for (const UnixType type : {UnixType::Stream, UnixType::SeqPacket}) {
    const auto second = unix_listen(type, path, 0600);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::Conflict);
    EXPECT_THAT(second.error().message, HasSubstr(path));
  }
  EXPECT_TRUE(unix_connect(UnixType::Stream, path));
}

// wg(8) removes a socket file that refuses it, also one that is a moment from listening.
TEST(UnixListen, NeverRefusesFromTheMomentItIsThere) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "s";
  std::atomic<bool> done = false;
  std::atomic<int> refused = 0;
  std::thread eager([&] {
    while (!done) {
      const auto connection = unix_connect(UnixType::Stream, path);
      if (!connection && connection.error().os_errno == ECONNREFUSED) ++refused;
    }
  });
  std::vector<Fd> listeners;  // a connection on its way to one that is gone would be refused
  for (int round = 0; round < 300; ++round) {
    listeners.push_back(std::move(unix_listen(UnixType::Stream, path, 0600).value()));
    unlink(path.c_str());
    while (unix_accept(listeners.back())) {
    }
  }
  done = true;
  eager.join();
  EXPECT_EQ(refused, 0);
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(UnixListen, NeverRemovesAFileThatIsNoSocket) {
  const ScratchDirectory scratch;
  const std::string path = scratch / "notes";
  ASSERT_TRUE(write_file_atomically(path, "precious", 0600));
  const auto listener = unix_listen(UnixType::Stream, path, 0600);
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().kind, ErrorKind::Conflict);
  EXPECT_EQ(read_file(path).value(), "precious");
}

TEST(UnixListen, RefusesAPathOfUnusableLength) {
  for (const std::string& path : {std::string(), "/tmp/" + std::string(108, 'x')}) {
    const auto listener = unix_listen(UnixType::Stream, path, 0600);
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().kind, ErrorKind::Invalid);
    EXPECT_FALSE(listener.error().hint.empty());
  }
}

TEST(UnixAccept, GivesTheOtherEndsCredentials) {
  const ScratchDirectory scratch;
  const auto listener = unix_listen(UnixType::Stream, scratch / "s", 0600);
  ASSERT_TRUE(listener);
  EXPECT_EQ(unix_accept(*listener).error().os_errno, EAGAIN);
  const auto client = unix_connect(UnixType::Stream, scratch / "s");
  ASSERT_TRUE(client);
  const auto server = unix_accept(*listener);
  ASSERT_TRUE(server);
  EXPECT_EQ(fcntl(server->get(), F_GETFD), FD_CLOEXEC);
  EXPECT_NE(fcntl(server->get(), F_GETFL) & O_NONBLOCK, 0);
  const auto credentials = peer_credentials(*server);
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->pid, getpid());
  EXPECT_EQ(credentials->uid, geteuid());
  EXPECT_EQ(credentials->gid, getegid());
}

TEST(UnixConnect, SaysThatNothingIsThere) {
  const ScratchDirectory scratch;
  EXPECT_EQ(unix_connect(UnixType::Stream, scratch / "none").error().kind, ErrorKind::NotFound);
}

TEST(UnixConnect, DoesNotWaitForAListenerThatAcceptsNobody) {
  const ScratchDirectory scratch;
  const auto listener = unix_listen(UnixType::Stream, scratch / "s", 0600);
  ASSERT_TRUE(listener.has_value());
  std::vector<Fd> waiting;
  auto next = unix_connect_now(UnixType::Stream, scratch / "s");
  ASSERT_TRUE(next.has_value()) << next.error().message;
  EXPECT_NE(fcntl(next->get(), F_GETFL) & O_NONBLOCK, 0);
  constexpr std::size_t kPlenty = 1000;  // many times the backlog
  while (next && waiting.size() < kPlenty) {
    waiting.push_back(std::move(*next));
    next = unix_connect_now(UnixType::Stream, scratch / "s");
  }
  ASSERT_FALSE(next.has_value());
  EXPECT_EQ(next.error().os_errno, EAGAIN);
}

TEST(FdMessage, CarriesBytesAndDescriptors) {
  const auto pair = unix_pair(UnixType::SeqPacket);
  ASSERT_TRUE(pair);
  const auto file = memory_file("passed", 4096);
  ASSERT_TRUE(file);
  ASSERT_TRUE(send_message(pair->first, base::as_bytes("hello"), {&*file, &*file}));
  auto got = receive_message(pair->second, 16);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(got->bytes, ElementsAre('h', 'e', 'l', 'l', 'o'));
  ASSERT_EQ(got->descriptors.size(), 2U);
  EXPECT_FALSE(got->closed);
  for (const Fd& descriptor : got->descriptors) {
    EXPECT_EQ(fcntl(descriptor.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(lseek(descriptor.get(), 0, SEEK_END), 4096);
  }
  EXPECT_TRUE(fcntl(file->get(), F_GETFD) >= 0);
}

TEST(FdMessage, KeepsBoundaries) {
  const auto pair = unix_pair(UnixType::SeqPacket);
  ASSERT_TRUE(send_message(pair->first, base::as_bytes("a")));
  ASSERT_TRUE(send_message(pair->first, base::as_bytes("bc")));
  EXPECT_EQ(receive_message(pair->second, 16)->bytes.size(), 1U);
  EXPECT_EQ(receive_message(pair->second, 16)->bytes.size(), 2U);
}

TEST(FdMessage, AMessageTooLongIsRefusedAndLeaksNoDescriptor) {
  const auto pair = unix_pair(UnixType::SeqPacket);
  const auto file = memory_file("passed", 1);
  ASSERT_TRUE(send_message(pair->first, base::as_bytes("too long"), {&*file}));
  const std::size_t before = open_descriptors();
  const auto got = receive_message(pair->second, 4);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::Invalid);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(FdMessage, TellsTheEndFromSilence) {
  auto pair = unix_pair(UnixType::SeqPacket);
  ASSERT_TRUE(pair->second.set_nonblocking());
  EXPECT_EQ(receive_message(pair->second, 4).error().os_errno, EAGAIN);
  pair->first.reset();
  const auto got = receive_message(pair->second, 4);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->closed);
  EXPECT_EQ(send_message(pair->second, base::as_bytes("x")).error().os_errno, EPIPE);
}

TEST(FdMessage, RefusesToSendNothingOrTooMany) {
  const auto pair = unix_pair(UnixType::SeqPacket);
  EXPECT_EQ(send_message(pair->first, {}).error().kind, ErrorKind::Invalid);
  const std::vector<const Fd*> many(kMaxPassedFds + 1, &pair->first);
  EXPECT_EQ(send_message(pair->first, base::as_bytes("x"), many).error().kind, ErrorKind::Invalid);
  const std::vector<const Fd*> most(kMaxPassedFds, &pair->first);
  ASSERT_TRUE(send_message(pair->first, base::as_bytes("x"), most));
  EXPECT_EQ(receive_message(pair->second, 4)->descriptors.size(), kMaxPassedFds);
}

}  // namespace
}  // namespace warren::os
