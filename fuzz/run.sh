#!/bin/sh
# Runs every fuzz target for a while: `fuzz/run.sh SECONDS [TARGET...]`. Fails when one finds something, after all have run.
set -eu
cd "$(dirname "$0")"
seconds=$1
shift

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzzing needs Rust's nightly toolchain: rustup toolchain install nightly --profile minimal" >&2
    exit 1
fi
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked

cargo +nightly fuzz build --debug-assertions
found=""
for target in ${*:-$(cargo +nightly fuzz list)}; do
    # What is committed elsewhere already is a seed, too.
    start=start/$target
    rm -rf "$start"
    mkdir -p "$start" "corpus/$target"
    if [ -d "seeds/$target" ]; then cp "seeds/$target"/* "$start"; fi
    case $target in
    offer) { printf 0; cat ../src/webrtc/chromium-offer.sdp; } > "$start/chromium" ;;
    config)
        cp ../configs/*.toml "$start"
        { cat ../configs/porthole.toml; printf '\n---\n'; cat ../configs/board.toml; } > "$start/both"
        ;;
    esac
    dictionary=""
    if [ -f "dictionaries/$target.dict" ]; then dictionary="-dict=dictionaries/$target.dict"; fi
    echo "== $target, $seconds s"
    # A finding's input is kept in artifacts/; `cargo +nightly fuzz run TARGET FILE` repeats it.
    # shellcheck disable=SC2086
    cargo +nightly fuzz run --debug-assertions "$target" "corpus/$target" "$start" -- -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=1024 -len_control=20 -verbosity=0 -print_funcs=0 -print_final_stats=1 $dictionary || found="$found $target"
done
if [ -n "$found" ]; then
    echo "found something:$found" >&2
    exit 1
fi
