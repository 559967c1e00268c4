#!/usr/bin/env bash
# The boards' binary, without containers: builds for aarch64 on an amd64 Debian 12, holds the result against the boards, and runs the unit
# tests under qemu. `tests/aarch64.sh [build|test|all]`; what it downloads stays in ~/.cache/porthole.
# `cross build --target aarch64-unknown-linux-gnu` makes the same binary, where a container engine runs.
set -euo pipefail
cd "$(dirname "$0")/.."
what="${1:-all}"
target=aarch64-unknown-linux-gnu
store="${XDG_CACHE_HOME:-$HOME/.cache}/porthole/aarch64"
output="${CARGO_TARGET_DIR:-target}/$target"
# The flashable binary, stripped.
most_bytes=6000000

tests/install-tools.sh aarch64

# Debian's rustc, whose package of aarch64's standard library is of the same version: rustup's servers need not be reached. In a folder of
# its own, since it conflicts with Debian's older rustc.
tests/debian-packages.sh "$store/rust" rustc-web:amd64 libstd-rust-web-dev:amd64 "libstd-rust-web-dev:amd64>libstd-rust-web-" \
    "libstd-rust-web-dev:amd64>libllvm" libstd-rust-web-dev:arm64
cat > "$store/rustc" <<EOF
#!/bin/sh
LD_LIBRARY_PATH="$store/rust/usr/lib/x86_64-linux-gnu" exec "$store/rust/usr/bin/rustc" "\$@"
EOF
chmod +x "$store/rustc"

export RUSTC="$store/rustc"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu"
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar

build() {
    # As the firmware has it: without the demo camera.
    cargo build --release --locked --no-default-features --target "$target"
    binary="$output/release/porthole"
    bytes=$(stat -c %s "$binary")
    glibc=$(aarch64-linux-gnu-objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    floor=$(sed -n 's/^glibc = "\(.*\)"$/\1/p' board/*/profile.toml | sort -V | head -n 1)
    echo "$binary: $bytes bytes (at most $most_bytes), needs $glibc (the boards have $floor)"
    if [ "$bytes" -gt "$most_bytes" ]; then
        echo "the binary is too large" >&2
        exit 1
    fi
    if [ "$(printf '%s\n' "$floor" "${glibc#GLIBC_}" | sort -V | tail -n 1)" != "$floor" ]; then
        echo "the binary needs a newer glibc than a board has" >&2
        exit 1
    fi
    qemu-aarch64-static -L /usr/aarch64-linux-gnu "$binary" --version
}

case $what in
build) build ;;
test) cargo test --locked --lib --target "$target" ;;
all)
    cargo test --locked --lib --target "$target"
    build
    ;;
*)
    echo "usage: tests/aarch64.sh [build|test|all]" >&2
    exit 2
    ;;
esac
