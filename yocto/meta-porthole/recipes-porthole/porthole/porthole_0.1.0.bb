SUMMARY = "NVR gateway"
DESCRIPTION = "RTSP cameras come in, and the same pictures go out as HLS and by WebRTC, on one media thread."
SECTION = "multimedia"
LICENSE = "MIT & Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=1f27b0de25ee878bb13090df0ceccf39 \
                    file://${UNPACKDIR}/hls.js/package/LICENSE;md5=8c22b1b3074f826155dbc85e6a0d4d1f"

require porthole-crates.inc

# The page's player for browsers that do not play HLS themselves: the package that ui/package-lock.json pins.
HLSJS_VERSION = "1.7.4"

SRC_URI += "file://porthole.service \
            file://Cargo.toml;subdir=${BP} \
            file://Cargo.lock;subdir=${BP} \
            file://LICENSE;subdir=${BP} \
            file://build.rs;subdir=${BP} \
            file://src;subdir=${BP} \
            file://benches;subdir=${BP} \
            file://ui;subdir=${BP} \
            file://configs;subdir=${BP} \
            https://registry.npmjs.org/hls.js/-/hls.js-${HLSJS_VERSION}.tgz;name=hlsjs;subdir=hls.js \
            ${@'file://board/${PORTHOLE_BOARD}/rendered;subdir=${BP}' if d.getVar('PORTHOLE_BOARD') else ''}"
SRC_URI[hlsjs.sha256sum] = "e4ab3d5d13f7cca9ef241d098f39686e19fd451831ba07dc9943482fd5ff75c7"
# npm's own checksum.
SRC_URI[hlsjs.sha512sum] = "dc697119d3ef4f6607bd060eb7ec8ecd3fc3122a2bfea255348ca51c0efb9207a805375042a8bbd06c1e7cd11498741e346ca30bc53adbe6ebbaa5bf4e99beb6"

# The tree that this layer is part of.
PORTHOLE_SOURCE ?= "${THISDIR}/../../../.."
# nooelint: oelint.vars.fileextrapaths, oelint.vars.outofcontext
FILESEXTRAPATHS:prepend := "${PORTHOLE_SOURCE}:"

inherit cargo systemd useradd

# A folder of board/; empty: the daemon takes its limits from the machine it finds.
PORTHOLE_BOARD ??= ""
PACKAGE_ARCH = "${MACHINE_ARCH}"

# Without the demo camera.
CARGO_BUILD_FLAGS += "--no-default-features --bin porthole"
# Debug information goes into its own package.
export CARGO_PROFILE_RELEASE_STRIP = "none"
export PORTHOLE_HLS_JS = "${UNPACKDIR}/hls.js/package/dist/hls.min.js"

SYSTEMD_SERVICE:${PN} = "porthole.service"

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --user-group --no-create-home --home-dir ${localstatedir}/lib/porthole --shell ${base_sbindir}/nologin porthole"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/porthole ${D}${bindir}/porthole
    install -D -m 0644 ${UNPACKDIR}/porthole.service ${D}${systemd_system_unitdir}/porthole.service

    # It will hold passwords.
    install -d ${D}${sysconfdir}/porthole
    install -m 0640 ${S}/configs/minimal.toml ${D}${sysconfdir}/porthole/porthole.toml
    chown root:porthole ${D}${sysconfdir}/porthole/porthole.toml
    install -D -m 0644 ${S}/configs/porthole.toml ${D}${datadir}/porthole/porthole.toml.example

    # What `porthole board render` wrote; board/README.md says what goes where.
    from=${S}/board/${PORTHOLE_BOARD}/rendered
    if [ -n "${PORTHOLE_BOARD}" ]; then
        install -D -m 0644 $from/sysctl.conf ${D}${nonarch_libdir}/sysctl.d/50-porthole.conf
        install -D -m 0644 $from/tmpfiles.conf ${D}${nonarch_libdir}/tmpfiles.d/porthole-board.conf
    fi
    if [ -n "${PORTHOLE_BOARD}" ] && [ -e $from/board.toml ]; then
        install -m 0644 $from/board.toml ${D}${sysconfdir}/porthole/board.toml
        install -D -m 0644 $from/run-porthole.mount ${D}${systemd_system_unitdir}/run-porthole.mount
        install -D -m 0644 $from/porthole.service.d.conf ${D}${systemd_system_unitdir}/porthole.service.d/50-board.conf
        install -D -m 0644 $from/system.conf.d.conf ${D}${nonarch_libdir}/systemd/system.conf.d/50-porthole.conf
        printf '[Service]\nEnvironment="BOARD=--board ${sysconfdir}/porthole/board.toml"\n' \
            > ${D}${systemd_system_unitdir}/porthole.service.d/40-board.conf
        chmod 0644 ${D}${systemd_system_unitdir}/porthole.service.d/40-board.conf
    fi
}

FILES:${PN} += "${systemd_system_unitdir} ${nonarch_libdir}/systemd ${nonarch_libdir}/sysctl.d ${nonarch_libdir}/tmpfiles.d"

CONFFILES:${PN} = "${sysconfdir}/porthole/porthole.toml"
