# Porthole's commands. `make demo` shows it, `make test` proves it, `make bench` measures it.

# An optimised build that takes a tenth of a release build's time; same speed within a few percent.
PROFILE ?= quick
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PORTHOLE := $(TARGET_DIR)/$(PROFILE)/porthole

.PHONY: demo build test lint e2e soak bench cycles aarch64 boot-test fuzz tools ui release clean

## Build, run on the built-in camera, and print the address of the page.
demo: build
	$(PORTHOLE) demo

build: ui
	cargo build --profile $(PROFILE) --locked --bin porthole

## The flashable binary: fat LTO, stripped.
release: ui
	cargo build --release --locked

## hls.js for browsers that do not play HLS themselves; without npm the page works in those that do.
ui: ui/node_modules/hls.js/package.json
ui/node_modules/hls.js/package.json: ui/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix ui --ignore-scripts --no-audit --no-fund --silent; \
	else echo "npm is not installed: building the page without hls.js"; fi

## Everything: lints, unit and integration tests, and the end-to-end tests on real cameras, decoders and browsers.
test: tools lint build
	cargo test --locked --all-features
	$(MAKE) --no-print-directory e2e

lint: ui
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	cargo clippy --locked --lib --bins --no-default-features -- -D warnings

e2e: tools build
	/usr/bin/python3 tests/e2e/run.py --binary $(PORTHOLE)

## Fifteen minutes of players and faults without growth; `make test` has one minute of it.
soak: tools build
	/usr/bin/python3 tests/e2e/run.py --binary $(PORTHOLE) --only soak --soak 15

## What the tests need and a fresh Debian 12 with Rust lacks: GStreamer (RTSP server, WebRTC), ffmpeg, tshark, Chromium, node, aiortc.
tools:
	tests/install-tools.sh

## What it costs, as ratios against something else in the same run. Measures the flashable binary.
bench: release
	tests/install-tools.sh bench
	cargo bench --locked --profile $(PROFILE)
	/usr/bin/python3 benches/cameras/run.py --binary $(TARGET_DIR)/release/porthole
	cargo build --locked --profile $(PROFILE) --example viewers
	/usr/bin/python3 benches/viewers/run.py --binary $(TARGET_DIR)/release/porthole --client $(TARGET_DIR)/$(PROFILE)/examples/viewers

## Fifty thousand viewers come and go, with whole handshakes, and memory stays flat; `make test` has two thousand.
cycles: release
	tests/install-tools.sh
	cargo build --locked --profile $(PROFILE) --example viewers
	/usr/bin/python3 benches/viewers/run.py --binary $(TARGET_DIR)/release/porthole --client $(TARGET_DIR)/$(PROFILE)/examples/viewers --only cycles

## The boards' binary, built without containers and held against them, and the unit tests under qemu: some 20 minutes.
aarch64: ui
	tests/aarch64.sh

## The board of 128 MiB, emulated: boots, plays, is killed, gets stuck, stays flat. BOOT_MINUTES=2 for a short look.
BOOT_MINUTES ?= 10
boot-test: ui
	tests/aarch64.sh build
	tests/install-tools.sh boot
	/usr/bin/python3 tests/boot/run.py --binary $(TARGET_DIR)/aarch64-unknown-linux-gnu/release/porthole --minutes $(BOOT_MINUTES)

# How long `make fuzz` spends on each target.
FUZZ_SECONDS ?= 60

## Bytes that nobody sent yet, into everything that takes bytes from outside. Needs Rust's nightly toolchain; not part of `make test`.
fuzz:
	fuzz/run.sh $(FUZZ_SECONDS)

clean:
	cargo clean
	rm -rf ui/node_modules tests/e2e/node_modules
