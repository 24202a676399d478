// Stack: TCP, UDP and ICMP echo in this process, over a tunnel that carries IP packets. lwIP does
// the work; nothing of it shows here.
//
// lwIP's state is one per process: at most one Stack exists at a time. Everything belongs to the
// thread that made it. Handlers may not destroy the object that calls them: put it aside and
// destroy it when the handler has returned.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "proxy/target.hpp"

namespace warren::proxy {

class Stack {
 public:
  struct Options {
    std::vector<base::Prefix> addresses;  ///< the first of each family is used
    std::uint32_t mtu = 1420;
  };
  /// Takes a packet for the tunnel; false: there is no room, TCP will come again.
  using Send = std::function<bool(base::Bytes packet)>;

  /// `random` outlives this: ports and sequence numbers come from it.
  Stack(const Options& options, base::RandomSource& random, Send send);
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  /// Our address of a family; nullptr: none.
  [[nodiscard]] const base::IpAddress* own_address(base::Family family) const;
  /// A packet out of the tunnel; what is not for us is dropped.
  void handle_packet(base::Bytes packet);
  /// Due every kStackTick while is_busy().
  void handle_tick();
  /// Connections are open or still being forgotten, so that the clock must go on.
  [[nodiscard]] bool is_busy() const;

 private:
  friend class TcpPipe;
  friend class UdpPipe;
  friend class EchoPipe;
  struct State;
  std::unique_ptr<State> state_;
};

/// A TCP connection from us. Sends what it is told; what it receives stays accounted in the window
/// until consumed() gives the room back, so nothing is received that there is no room for.
class TcpPipe {
 public:
  struct Handlers {
    std::function<void()> connected;
    /// The bytes must be kept by the handler: they are gone when it returns.
    std::function<void(base::Bytes)> received;
    std::function<void()> finished;  ///< the other side will send no more
    std::function<void()> writable;  ///< something was acknowledged: room() has grown
    /// Nothing more will be called: reset by the other side, or given up.
    std::function<void(Failure)> failed;
  };
  /// Starts to connect. Unavailable: no address of the family, or no free port.
  [[nodiscard]] static base::Result<std::unique_ptr<TcpPipe>> connect(Stack& stack,
                                                                      const base::Endpoint& to,
                                                                      Handlers handlers);
  /// Ends gracefully when both sides have finished, else with a reset.
  ~TcpPipe();
  TcpPipe(const TcpPipe&) = delete;
  TcpPipe& operator=(const TcpPipe&) = delete;

  /// Bytes that write() would take now.
  [[nodiscard]] std::size_t room() const;
  /// Copies from the front; how many it took. Goes out with flush().
  [[nodiscard]] std::size_t write(base::Bytes bytes);
  void flush();
  void consumed(std::size_t count);
  /// We will send no more.
  void finish();
  /// Sent and not acknowledged: for the detection of a target that has gone.
  [[nodiscard]] bool is_waiting_for_ack() const;

 private:
  struct State;
  explicit TcpPipe(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A UDP port of ours of one family.
class UdpPipe {
 public:
  using Received = std::function<void(const base::Endpoint& from, base::Bytes)>;
  [[nodiscard]] static base::Result<std::unique_ptr<UdpPipe>> open(Stack& stack,
                                                                   base::Family family,
                                                                   Received received);
  ~UdpPipe();
  UdpPipe(const UdpPipe&) = delete;
  UdpPipe& operator=(const UdpPipe&) = delete;
  /// As a datagram goes: it may be lost.
  void send(const base::Endpoint& to, base::Bytes bytes);

 private:
  struct State;
  explicit UdpPipe(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Asks one target for an echo.
class EchoPipe {
 public:
  using Answered = std::function<void()>;
  [[nodiscard]] static base::Result<std::unique_ptr<EchoPipe>> open(Stack& stack,
                                                                    const base::IpAddress& target,
                                                                    Answered answered);
  ~EchoPipe();
  EchoPipe(const EchoPipe&) = delete;
  EchoPipe& operator=(const EchoPipe&) = delete;
  void ask();

 private:
  struct State;
  explicit EchoPipe(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace warren::proxy
