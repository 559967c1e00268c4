#!/bin/bash
# Checks the layer against wrynose: lint, parse, the image's tasks, sources with their checksums, yocto-check-layer.
# Builds nothing. Some ten minutes, and not as root, which BitBake refuses.
#   yocto/check.sh BITBAKE OPENEMBEDDED-CORE [META-RAUC]     (checkouts; bitbake 2.18, the others wrynose)
# BOARD=qemu-virt chooses the board; CHECK_DIR=... keeps the build folder; crates come from cargo's own cache where it has them.
set -euo pipefail

(($# == 2 || $# == 3)) || { sed -n '2,6s/^# \?//p' "$0" >&2; exit 2; }
((EUID != 0)) || { echo "BitBake does not run as root" >&2; exit 2; }
export BITBAKEDIR
BITBAKEDIR=$(realpath "$1")
core=$(realpath "$2")
rauc=${3:+$(realpath "$3")}
repository=$(realpath "$(dirname "$0")/..")
layer=$repository/yocto/meta-porthole
board=${BOARD:-qemu-virt}
if [ -n "${CHECK_DIR:-}" ]; then
    mkdir -p "$CHECK_DIR"
    work=$(realpath "$CHECK_DIR")
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi

say() { printf '\n== %s\n' "$*"; }

# enter NAME: a build folder of that name, with settings but without layers beyond core; the current folder from then on.
enter() {
    set +u
    # shellcheck disable=SC1091
    . "$core/oe-init-build-env" "$work/$1" >/dev/null
    set -u
    cat >conf/local.conf <<CONF
require $repository/board/$board/rendered/yocto.conf
DL_DIR = "$work/downloads"
CONF_VERSION = "2"
CONF
}

say "lint, and the boards' kas files"
if command -v oelint-adv >/dev/null; then
    "$repository/yocto/lint.sh"
else
    echo "skipped: no oelint-adv (pip install oelint-adv)"
fi
if command -v kas >/dev/null; then
    mkdir -p "$work/kas"
    for file in qemu-virt raspberrypi4-64 imx8mp-evk rk3568; do
        KAS_WORK_DIR=$work/kas KAS_CLONE_DEPTH=1 kas dump "$repository/yocto/kas/$file.yml:$repository/yocto/kas/rauc.yml" >/dev/null
    done
else
    echo "skipped: no kas (pip install kas)"
fi

mkdir -p "$work/downloads"
cp -n "${CARGO_HOME:-$HOME/.cargo}"/registry/cache/*/*.crate "$work/downloads/" 2>/dev/null || true

enter build
bitbake-layers add-layer "$layer"
if [ -n "$rauc" ]; then
    bitbake-layers add-layer "$rauc"
    # Nothing is signed here: an empty key ring will do.
    mkdir -p "$work/keys"
    touch "$work/keys/ca.cert.pem"
    cat >>conf/local.conf <<CONF
DISTRO_FEATURES:append = " rauc"
PREFERRED_RPROVIDER_virtual-rauc-conf = "porthole-rauc-conf"
RAUC_KEYRING_FILE = "ca.cert.pem"
FILESEXTRAPATHS:prepend:pn-porthole-rauc-conf = "$work/keys:"
CONF
fi

say "parse"
bitbake -p

say "tasks of porthole-image"
bitbake -g porthole-image
grep -q '"porthole.do_compile"' task-depends.dot
grep -q '"porthole-storage.do_install"' task-depends.dot
echo "$(wc -l <task-depends.dot) edges"

say "sources, each with its checksum"
bitbake -c unpack porthole
unpacked=$(bitbake-getvar --value -r porthole UNPACKDIR 2>/dev/null | tail -1)
wanted=$(grep -c 'crate://' "$layer"/recipes-porthole/porthole/porthole-crates.inc)
found=$(find "$unpacked/cargo_home/bitbake" -mindepth 1 -maxdepth 1 -type d | wc -l)
echo "$found crates of $wanted"
[ "$found" -eq "$wanted" ]
test -s "$unpacked/hls.js/package/dist/hls.min.js"

say "yocto-check-layer"
enter compatible
yocto-check-layer --dependency "$core/meta" --no-auto-dependency -- "$layer"
