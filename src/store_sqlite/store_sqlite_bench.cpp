// What a durable change costs: each commit waits for the disk.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>

#include "store_sqlite/sqlite_store.hpp"

namespace warren::store_sqlite {
namespace {

enum class Wait { ForTheDisk, No };

void commit_one_peer(benchmark::State& run, Wait wait) {
  std::string name = (std::filesystem::temp_directory_path() / "warren-bench-XXXXXX").string();
  const std::filesystem::path directory = ::mkdtemp(name.data());
  {
    auto opened = open((directory / "warren.db").string());
    if (!opened) {
      run.SkipWithError(opened.error().message.c_str());
      return;
    }
    store::StoredNetwork network;
    network.network.id = {1};
    network.network.name = "bench";
    model::Peer peer;
    peer.id = {1};
    peer.network = {1};
    peer.name = "peer";
    if (!(*opened)->commit({store::PutNetwork{network}}, {})) run.SkipWithError("commit");
    for (auto _ : run) {
      ++peer.invited.ns;
      const auto done = wait == Wait::No ? (*opened)->commit_soon({store::PutPeer{peer}}, {})
                                         : (*opened)->commit({store::PutPeer{peer}}, {});
      if (!done) run.SkipWithError("commit");
    }
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK_CAPTURE(commit_one_peer, durable, Wait::ForTheDisk)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(commit_one_peer, soon, Wait::No)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace warren::store_sqlite
