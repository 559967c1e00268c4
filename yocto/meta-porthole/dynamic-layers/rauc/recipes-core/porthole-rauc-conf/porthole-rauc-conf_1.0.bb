SUMMARY = "Where Porthole's updates go, and whose they must be"
DESCRIPTION = "RAUC's system.conf with the board's slots, and the keyring RAUC_KEYRING_FILE of whoever builds."
SECTION = "multimedia"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://system.conf \
           file://var-lib-rauc.mount \
           file://${RAUC_KEYRING_FILE}"

S = "${UNPACKDIR}"

inherit systemd

# It needs a key ring, which is not here.
EXCLUDE_FROM_WORLD = "1"
# The slots are those of board/NAME/rendered/yocto.conf.
PACKAGE_ARCH = "${MACHINE_ARCH}"

SYSTEMD_SERVICE:${PN} = "var-lib-rauc.mount"

do_install() {
    install -D -m 0644 ${UNPACKDIR}/var-lib-rauc.mount ${D}${systemd_system_unitdir}/var-lib-rauc.mount
    install -d ${D}${localstatedir}/lib/rauc
    install -d ${D}${sysconfdir}/rauc
    sed -e 's|@BOARD@|${PORTHOLE_BOARD}|' -e 's|@SLOT_A@|${PORTHOLE_SLOT_A}|' -e 's|@SLOT_B@|${PORTHOLE_SLOT_B}|' \
        ${UNPACKDIR}/system.conf > ${D}${sysconfdir}/rauc/system.conf
    chmod 0644 ${D}${sysconfdir}/rauc/system.conf
    install -m 0644 ${UNPACKDIR}/${RAUC_KEYRING_FILE} ${D}${sysconfdir}/rauc/ca.cert.pem
}

RPROVIDES:${PN} += "virtual-rauc-conf"
