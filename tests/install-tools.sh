#!/bin/sh
# Installs what the end-to-end tests need and a fresh Debian 12 with Rust lacks. Safe to repeat; quick when all is there.
# `tests/install-tools.sh bench` adds what only the benches use; `... aarch64` and `... boot` what only those tests do.
set -eu
cd "$(dirname "$0")/e2e"

# command:package, for what is found by its command (node may come from another place than Debian).
commands="ffmpeg:ffmpeg ffprobe:ffmpeg tshark:tshark chromium:chromium node:nodejs npm:npm curl:curl gcc:gcc ip:iproute2 openssl:openssl"
# Packages without a command of their own.
packages="python3 python3-gi python3-venv gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0 \
gir1.2-nice-0.1 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-nice gstreamer1.0-libav opencv-doc"
case "${1:-}" in
bench) commands="$commands nginx:nginx-light" ;;
aarch64)
    commands="$commands aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu qemu-aarch64-static:qemu-user-static"
    packages="$packages libc6-dev-arm64-cross"
    ;;
boot) commands="$commands qemu-system-aarch64:qemu-system-arm mksquashfs:squashfs-tools cpio:cpio" ;;
esac

missing=""
for pair in $commands; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair%%:*}" ] || missing="$missing ${pair#*:}"
done
for package in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "installing:$missing"
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -q
    # Slim images leave out /usr/share/doc, where the footage of opencv-doc lives: ask for that one folder.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        -o Dpkg::Options::="--path-include=/usr/share/doc/opencv-doc/*" $missing
fi

if [ ! -e /usr/share/doc/opencv-doc/examples/data/vtest.avi ] && [ ! -e /usr/share/doc/opencv-doc/examples/data/vtest.avi.gz ]; then
    echo "the footage vtest.avi of package opencv-doc is missing: apt-get install --reinstall opencv-doc" >&2
    exit 1
fi

# The node packages, as locked; a stamp beside them says for which lock file they were installed.
lock=$(sha256sum package-lock.json | cut -d' ' -f1)
if [ "$(cat node_modules/.porthole-lock 2>/dev/null)" != "$lock" ]; then
    npm ci --no-audit --no-fund --ignore-scripts
    echo "$lock" > node_modules/.porthole-lock
fi

# aiortc, an independent WebRTC implementation that Debian 12 lacks: in an environment of its own, stamped like the above.
aiortc="${XDG_CACHE_HOME:-$HOME/.cache}/porthole-tests/aiortc"
lock=$(sha256sum requirements.txt | cut -d' ' -f1)
if [ "$(cat "$aiortc/.porthole-lock" 2>/dev/null)" != "$lock" ]; then
    rm -rf "$aiortc"
    /usr/bin/python3 -m venv "$aiortc"
    "$aiortc/bin/pip" install -q --disable-pip-version-check --only-binary :all: --no-deps -r requirements.txt
    echo "$lock" > "$aiortc/.porthole-lock"
fi
