# The few commands of this repository. On a fresh Debian 12, as root:
#   make demo    installs the packages, builds, and runs the main job on real traffic
#   make test    installs the packages, builds, and passes every test
# `make help` lists the rest.

BUILD  := build/release
JOBS   ?= $(shell nproc)
STAMP  := build/packages.stamp
# podman for tests and benchmarks, unpacked once.
CONTAINERS := build/containers/usr/bin/podman

# BENCH_QUICK=1: one short round; BENCH_ONLY=warren,wireguard,handshakes: some of the contenders.
BENCH_ROUNDS ?= 3
BENCH_STAMP  := build/bench-packages.stamp

.PHONY: help build portable test test-fast slow demo bench bench-run bench-control asan tsan interop fuzz tidy format packages install clean

help:
	@sed -n 's/^## //p' Makefile

## build      build everything into build/release
build: $(STAMP) $(CONTAINERS)
	@cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS)

## test       build, then every test but those labelled slow
test: build
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -LE 'slow|interop-new'

## test-fast  only the tests that need neither root nor namespaces
test-fast: build
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS) -L 'unit|sim|fuzz|check'

## slow       the tests in real time that take minutes (a rekey after 120 s)
slow: build
	ctest --test-dir $(BUILD) --output-on-failure -L slow

## demo       the main job on real traffic, in namespaces it makes and removes
demo: build
	tools/demo.py $(BUILD)/bin

## interop    against the newest foreign programs: fetched to a scratch folder, never installed
interop: build
	tools/fetch_newest.sh build/newest wireguard-go
	ctest --test-dir $(BUILD) --output-on-failure -L 'interop'

## bench      warren beside its rivals, interleaved in one run (BENCH_ROUNDS, BENCH_QUICK, BENCH_ONLY)
bench: $(BENCH_STAMP)
	@cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS) --target benchmark_programs
	bench/run.py $(BUILD)/bin --rounds $(BENCH_ROUNDS) --only "$(BENCH_ONLY)" $(if $(BENCH_QUICK),--quick)

## bench-run  `warren run`: its start, its throughput, 500 at once, beside other ways (BENCH_QUICK)
bench-run: $(BENCH_STAMP) $(CONTAINERS)
	@cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS) --target benchmark_programs
	bench/runs.py $(BUILD)/bin $(if $(BENCH_QUICK),--quick)

## bench-control  the control plane with 1,000 networks and 100,000 members (BENCH_QUICK)
bench-control: $(STAMP)
	@cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS) --target warren warren-gateway warren-engine
	bench/control_scale.py $(BUILD)/bin $(if $(BENCH_QUICK),--quick)

## asan       unit tests, stories, corpora and two engines under traffic, with ASan and UBSan
asan: $(STAMP)
	cmake --preset asan && cmake --build build/asan -j $(JOBS)
	ctest --test-dir build/asan --output-on-failure -j $(JOBS) -L 'unit|sim|fuzz|sanitized'

## tsan       unit tests and two engines under traffic, with ThreadSanitizer
tsan: $(STAMP)
	cmake --preset tsan && cmake --build build/tsan -j $(JOBS)
	ctest --test-dir build/tsan --output-on-failure -j $(JOBS) -L 'unit|sanitized'

## portable   the member's programs as one folder for any x86-64 Linux, in build/release/portable
portable: $(STAMP)
	@cmake --preset release >build/configure.log || { cat build/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS) --target warren warren-engine
	tools/pack_portable.sh $(BUILD)/bin $(BUILD)/portable

## fuzz       each fuzz target for a minute (clang-19)
fuzz: $(STAMP)
	tools/fuzz.sh

## tidy       clang-tidy, then the static analyzer, over the whole tree
tidy: build
	tools/check_tidy.py $(BUILD) && tools/check_tidy.py --analyze $(BUILD)

## format     rewrite the sources with clang-format
format:
	git ls-files '*.cpp' '*.hpp' | xargs clang-format-19 -i

## install    programs, manual pages and the systemd unit, below DESTDIR/usr
install: build
	cmake --install $(BUILD) --prefix /usr  # honours DESTDIR

packages: $(STAMP)

# One list of packages; a stamp keeps later runs offline.
# Servers that tests talk to are only unpacked below build/: installed, they would be started here.
$(STAMP): packages.txt tools/unpack_packages.sh
	@mkdir -p build
	tools/install_packages.sh packages.txt
	tools/unpack_packages.sh build/debian ocserv nscd mosquitto mosquitto-clients
	tools/unpack_packages.sh build/openresolv openresolv
	tools/unpack_packages.sh build/resolvconf resolvconf
	@touch $@

$(CONTAINERS): | $(STAMP)
	tools/unpack_packages.sh build/containers podman runc conmon busybox-static

# The rivals are only unpacked below build/: their packages would enable services.
$(BENCH_STAMP): $(STAMP) bench/packages.txt tools/fetch_newest.sh tools/unpack_packages.sh
	tools/install_packages.sh bench/packages.txt
	tools/unpack_packages.sh build/debian openvpn ocserv openconnect
	tools/fetch_newest.sh build/rivals wireguard-go nebula
	@touch $@

clean:
	rm -rf build
