// portable_job ADDRESS PORT NAME: a program that needs no file of its surroundings. Prints the
// interfaces that it has, the first line of an HTTP answer, and the address of a name.
#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

void print_interfaces() {
  struct if_nameindex* list = if_nameindex();
  std::printf("interfaces");
  for (auto* one = list; one != nullptr && one->if_name != nullptr; ++one) {
    std::printf(" %s", one->if_name);
  }
  std::printf("\n");
  if_freenameindex(list);
}

void print_page(const char* address, const char* port) {
  const int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
  inet_pton(AF_INET, address, &to.sin_addr);
  sockaddr generic{};
  static_assert(sizeof generic == sizeof to);
  std::memcpy(&generic, &to, sizeof to);
  if (connect(stream, &generic, sizeof generic) != 0) {
    std::perror("connect");
    return;
  }
  const std::string request = "GET /5 HTTP/1.0\r\n\r\n";
  std::array<char, 512> room{};
  if (send(stream, request.data(), request.size(), 0) < 0) std::perror("send");
  const ssize_t size = recv(stream, room.data(), room.size() - 1, MSG_WAITALL);
  const std::string answer(room.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  std::printf("page %s\n", answer.substr(0, answer.find('\r')).c_str());
  close(stream);
}

void print_name(const char* name) {
  addrinfo wanted{};
  wanted.ai_family = AF_INET;
  addrinfo* found = nullptr;
  if (const int why = getaddrinfo(name, nullptr, &wanted, &found); why != 0) {
    std::printf("name %s\n", gai_strerror(why));
    return;
  }
  std::array<char, NI_MAXHOST> text{};
  getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(), nullptr, 0,
              NI_NUMERICHOST);
  std::printf("name %s\n", text.data());
  freeaddrinfo(found);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  print_interfaces();
  print_page(argv[1], argv[2]);
  print_name(argv[3]);
  return 0;
}
