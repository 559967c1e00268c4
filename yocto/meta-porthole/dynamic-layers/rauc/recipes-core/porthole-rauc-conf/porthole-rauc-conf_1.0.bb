SUMMARY = "Where Porthole's updates go, and whose they must be"
DESCRIPTION = "RAUC's system.conf with the board's slots, and the keyring RAUC_KEYRING_FILE of whoever builds."
SECTION = "multimedia"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://system.conf \
           file://${RAUC_KEYRING_FILE}"

S = "${UNPACKDIR}"

# The slots are those of board/NAME/rendered/yocto.conf.
PACKAGE_ARCH = "${MACHINE_ARCH}"

do_install() {
    install -d ${D}${sysconfdir}/rauc
    sed -e 's|@BOARD@|${PORTHOLE_BOARD}|' -e 's|@SLOT_A@|${PORTHOLE_SLOT_A}|' -e 's|@SLOT_B@|${PORTHOLE_SLOT_B}|' \
        ${UNPACKDIR}/system.conf > ${D}${sysconfdir}/rauc/system.conf
    chmod 0644 ${D}${sysconfdir}/rauc/system.conf
    install -m 0644 ${UNPACKDIR}/${RAUC_KEYRING_FILE} ${D}${sysconfdir}/rauc/ca.cert.pem
}

RPROVIDES:${PN} += "virtual-rauc-conf"
