// Questions from a network namespace of its own to a resolver on the loopback of the test's.
#include "gateway/resolver_relay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/write.hpp>

#include "gateway/limits.hpp"
#include "os/clock.hpp"
#include "os/netns_test_support.hpp"
#include "os/rtnl.hpp"

namespace warren::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;
using Text = std::vector<std::uint8_t>;

constexpr base::Duration kPatience = std::chrono::seconds(20);

Text message(std::uint8_t id, bool answer, std::size_t size = 40) {
  Text out(size, 0x61);
  out[0] = id;
  out[1] = 0x17;
  out[2] = answer ? 0x80 : 0x01;
  out[3] = 0;
  return out;
}

class ResolverRelayTest : public os::NetnsTest {
 protected:
  void SetUp() override {
    make_netns("relay", netns_);
    if (IsSkipped()) return;
    inside(netns_, [] {
      auto rtnl = os::Rtnl::open();
      ASSERT_TRUE(rtnl) << rtnl.error().message;
      ASSERT_TRUE(rtnl->set_up("lo", true));
    });
    resolver_.open(udp::v4());
    resolver_.bind({asio::ip::make_address("127.0.0.1"), 0});
    resolver_.non_blocking(true);
    acceptor_.open(tcp::v4());
    acceptor_.bind({asio::ip::make_address("127.0.0.1"), resolver_.local_endpoint().port()});
    acceptor_.listen();
    open(resolver_.local_endpoint().port());
  }
  void open(std::uint16_t port) {
    relay_.reset();
    auto made =
        ResolverRelay::open(io_, netns_, listen_,
                            {.address = *base::IpAddress::parse("127.0.0.1"), .port = port}, load_);
    ASSERT_TRUE(made) << made.error().message;
    relay_ = std::move(*made);
  }
  /// A client inside.
  udp::socket client() {
    udp::socket out(io_);
    inside(netns_, [&] {
      out.open(udp::v4());
      out.connect({asio::ip::make_address("127.0.53.1"), 53});
    });
    out.non_blocking(true);
    return out;
  }
  bool until(const std::function<bool()>& there) {
    const base::Instant deadline = os::now() + kPatience;
    while (!there()) {
      if (os::now() >= deadline) return false;
      io_.run_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  /// Empty: nothing came.
  Text receive(udp::socket& socket, udp::endpoint* from = nullptr) {
    Text out(8192);
    udp::endpoint sender;
    std::size_t size = 0;
    until([&] {
      error_code error;
      size = socket.receive_from(asio::buffer(out), sender, 0, error);
      return !error;
    });
    out.resize(size);
    if (from != nullptr) *from = sender;
    return out;
  }

  os::Fd netns_;
  asio::io_context io_;
  base::Endpoint listen_{.address = *base::IpAddress::parse("127.0.53.1"), .port = 53};
  std::shared_ptr<RelayLoad> load_ = std::make_shared<RelayLoad>();
  udp::socket resolver_{io_};
  tcp::acceptor acceptor_{io_};
  std::unique_ptr<ResolverRelay> relay_;
};

TEST_F(ResolverRelayTest, CarriesQuestionsAndTheirAnswers) {
  udp::socket ann = client();
  udp::socket bob = client();
  udp::endpoint for_ann;
  udp::endpoint for_bob;
  ann.send(asio::buffer(message(1, false)));
  EXPECT_EQ(receive(resolver_, &for_ann), message(1, false));
  bob.send(asio::buffer(message(2, false, kRelayDatagram)));
  EXPECT_EQ(receive(resolver_, &for_bob), message(2, false, kRelayDatagram));
  EXPECT_NE(for_ann, for_bob) << "each question has a port of its own";
  EXPECT_EQ(load_->questions, 2U);
  // The first one that answers is not the first one that was asked; only its own id is taken.
  resolver_.send_to(asio::buffer(message(1, true)), for_bob);
  resolver_.send_to(asio::buffer(message(2, false)), for_bob);
  resolver_.send_to(asio::buffer(message(2, true, 12)), for_bob);
  EXPECT_EQ(receive(bob), message(2, true, 12));
  resolver_.send_to(asio::buffer(message(1, true, kRelayDatagram)), for_ann);
  EXPECT_EQ(receive(ann), message(1, true, kRelayDatagram));
  EXPECT_EQ(load_->questions, 0U);
}

TEST_F(ResolverRelayTest, WhatIsNoQuestionIsNotCarried) {
  udp::socket ann = client();
  ann.send(asio::buffer(message(1, true)));
  ann.send(asio::buffer(message(2, false, 11)));
  ann.send(asio::buffer(message(3, false, kRelayDatagram + 1)));
  ann.send(asio::buffer(message(4, false)));
  EXPECT_EQ(receive(resolver_), message(4, false)) << "the first that comes";
}

TEST_F(ResolverRelayTest, AnswersForAResolverThatIsNotThere) {
  const std::uint16_t port = resolver_.local_endpoint().port();
  resolver_.close();
  acceptor_.close();
  open(port);
  udp::socket ann = client();
  ann.send(asio::buffer(message(1, false)));
  const Text answer = receive(ann);
  ASSERT_EQ(answer.size(), 40U);
  EXPECT_EQ(answer[0], 1);
  EXPECT_EQ(answer[2], 0x81) << "an answer to what was asked";
  EXPECT_EQ(answer[3], 0x82) << "server failure";
  EXPECT_EQ(load_->questions, 0U);
}

TEST_F(ResolverRelayTest, CarriesSoManyAndNoMore) {
  udp::socket ann = client();
  for (std::size_t i = 0; i < kRelayQuestions; ++i) {
    ann.send(asio::buffer(message(static_cast<std::uint8_t>(i), false)));
    ASSERT_FALSE(receive(resolver_).empty()) << i;
  }
  EXPECT_EQ(load_->questions, kRelayQuestions);
  ann.send(asio::buffer(message(200, false)));
  const Text refused = receive(ann);
  ASSERT_FALSE(refused.empty());
  EXPECT_EQ(refused[0], 200);
  EXPECT_EQ(refused[3] & 0x0f, 2);
  relay_.reset();  // with all that is in flight
  EXPECT_EQ(load_->questions, 0U);
  io_.poll();
}

TEST_F(ResolverRelayTest, CopiesConnectionsUntilBothEndsAreDone) {
  tcp::socket ann(io_);
  inside(netns_, [&] {
    ann.open(tcp::v4());
    ann.connect({asio::ip::make_address("127.0.53.1"), 53});
  });
  tcp::socket there(io_);
  acceptor_.non_blocking(true);
  ASSERT_TRUE(until([&] {
    error_code error;
    acceptor_.accept(there, error);
    return !error;
  }));
  ann.non_blocking(true);
  there.non_blocking(true);
  const auto read = [&](tcp::socket& socket, std::size_t size) {
    Text got;
    until([&] {
      Text room(size);
      error_code error;
      room.resize(socket.read_some(asio::buffer(room), error));
      got.insert(got.end(), room.begin(), room.end());
      return got.size() >= size || error == asio::error::eof;
    });
    return got;
  };
  const Text large = message(1, false, 3 * kRelayDatagram);
  asio::write(ann, asio::buffer(large));
  EXPECT_EQ(read(there, large.size()), large);
  ann.shutdown(tcp::socket::shutdown_send);
  EXPECT_EQ(read(there, 1), Text()) << "the end is carried, too";
  asio::write(there, asio::buffer(large));
  EXPECT_EQ(read(ann, large.size()), large);
  EXPECT_EQ(load_->connections, 1U);
  there.close();
  EXPECT_TRUE(until([&] { return load_->connections == 0; }));
}

TEST_F(ResolverRelayTest, SaysWhereSomebodyListensAlready) {
  const auto second = ResolverRelay::open(
      io_, netns_, listen_, {.address = *base::IpAddress::parse("127.0.0.1"), .port = 53}, load_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().os_errno, EADDRINUSE);
  EXPECT_THAT(second.error().message, ::testing::HasSubstr("127.0.53.1:53"));
}

}  // namespace
}  // namespace warren::gateway
