// Every bound of the engine by its name.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.hpp"

namespace warren::engine {

/// The largest inner packet, datagram or train: IP allows no more.
inline constexpr std::size_t kMaxPacketBytes = 65536;
/// Packet slots of one worker: a batch from the tun, its trains, and what is received. 8.5 MiB if
/// every byte of each were in use; untouched pages of a slot cost nothing.
inline constexpr std::size_t kWorkerSlots = 136;
/// Packet slots of the node: handshake messages, keepalives, packets that wait for a handshake.
inline constexpr std::size_t kNodeSlots = 1024;
/// Packets taken from the tun, and their bytes, before the other direction has its turn. A
/// super-packet has up to 64 KiB.
inline constexpr std::size_t kTunBatch = 64;
inline constexpr std::size_t kTunBatchBytes = std::size_t{192} << 10;
/// Datagrams or trains taken from a socket at once: few while trains come, which fill a slot each;
/// more while single datagrams come.
inline constexpr std::size_t kTrainBatch = 8;
inline constexpr std::size_t kUdpBatch = 32;
/// Datagrams and trains of one family that wait for room in the socket; the tun is not read
/// meanwhile, so these are one batch and what the protocol itself sends. Then the largest goes.
inline constexpr std::size_t kMaxPendingSends = 80;
/// How long a socket rests that has no room although epoll calls it writable (ENOBUFS).
inline constexpr base::Duration kNoRoomPause = std::chrono::milliseconds(1);
/// How long trains are sent datagram by datagram after a device refused one for good (EIO).
inline constexpr base::Duration kTrainsPause = std::chrono::seconds(30);
/// Handshake messages (0.1 ms each) between two batches of data, and in a round without data.
inline constexpr std::size_t kHandshakesBesideData = 1;
inline constexpr std::size_t kHandshakesAlone = 4;
/// While a socket holds more than a batch, no handshake is begun for so long after the last one.
inline constexpr base::Duration kReadingFirst = std::chrono::microseconds(500);

/// Workers of one engine, the first included, whatever the opener and the processors allow.
inline constexpr std::size_t kMaxWorkers = 8;
/// How long after its start an engine gives back what only the start needed.
inline constexpr base::Duration kSettled = std::chrono::seconds(2);
/// How often it is looked at how busy the workers are.
inline constexpr base::Duration kLoadTick = std::chrono::seconds(1);
/// Another worker joins when every one that runs has used more than this share of so many ticks on
/// end. It is the processor time that counts: a worker that waits for a processor does not reach
/// it, and one more would only wait beside it.
inline constexpr double kBusyShare = 0.9;
inline constexpr int kBusyTicks = 2;
/// Quiet: the workers together used less than this share of what one fewer of them could. When that
/// has lasted, one leaves.
inline constexpr double kQuietShare = 0.5;
inline constexpr base::Duration kQuietFor = std::chrono::seconds(30);
/// How long a worker may take to end the batch that it is at; it takes a millisecond.
inline constexpr base::Duration kEpochPatience = std::chrono::seconds(5);

/// Connections to the userspace API; one more ends the oldest.
inline constexpr std::size_t kMaxApiConnections = 16;
/// What one turn of the API does at most: bytes of a request read and applied (some 250 peers), or
/// peers of an answer written. Packets wait for it about a quarter of a millisecond.
inline constexpr std::size_t kApiReadBytes = std::size_t{64} << 10;
inline constexpr std::size_t kApiPagePeers = 128;
/// Hints of peers that are erased under one lock.
inline constexpr std::size_t kHintsPage = 256;
/// Slots of peers that are emptied, or looked at for those to be called, under one lock.
inline constexpr std::size_t kRemovePage = 256;
inline constexpr std::size_t kWakePage = 4096;
/// How long the opener may take to answer.
inline constexpr base::Duration kOpenerAnswer = std::chrono::seconds(5);
/// The same when one more worker is asked for under load: packets wait meanwhile. And how long it
/// is not asked again when there was none.
inline constexpr base::Duration kGrowAnswer = std::chrono::milliseconds(100);
inline constexpr base::Duration kGrowPause = std::chrono::minutes(1);
/// Attempts to find a port that is free in both address families.
inline constexpr int kRandomPortAttempts = 16;
/// After a restart: handshakes started per tick with peers active within the last minutes.
inline constexpr std::size_t kResumePerTick = 64;
inline constexpr base::Duration kResumeTick = std::chrono::milliseconds(10);
inline constexpr base::Duration kResumeWithin = std::chrono::minutes(3);
/// Changes of the host's addresses and routes within this time are answered once: each answer is a
/// keepalive to every active peer.
inline constexpr base::Duration kNetworkChangePace = std::chrono::seconds(1);
/// Unused packet slots are given back after this long without a packet.
inline constexpr base::Duration kIdleAfter = std::chrono::seconds(10);
/// At level Debug the counters are logged this often while packets flow.
inline constexpr base::Duration kCountersEvery = std::chrono::seconds(60);
/// Bytes that a sandboxed engine may add to its log file: /run is memory.
inline constexpr std::size_t kMaxLogGrowth = std::size_t{16} << 20;
/// Descriptors a sandboxed engine may hold.
inline constexpr std::size_t kMaxDescriptors = 96;

}  // namespace warren::engine
