SUMMARY = "The partition for what Porthole keeps"
DESCRIPTION = "Mounts the data partition of the A/B layout at /var/lib/porthole, and puts a first configuration there."
SECTION = "multimedia"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://var-lib-porthole.mount \
           file://porthole-storage.conf"

S = "${UNPACKDIR}"

inherit systemd

SYSTEMD_SERVICE:${PN} = "var-lib-porthole.mount"

do_install() {
    install -D -m 0644 ${UNPACKDIR}/var-lib-porthole.mount ${D}${systemd_system_unitdir}/var-lib-porthole.mount
    install -D -m 0644 ${UNPACKDIR}/porthole-storage.conf ${D}${nonarch_libdir}/tmpfiles.d/porthole-storage.conf
    install -d ${D}${localstatedir}/lib/porthole
}

FILES:${PN} += "${nonarch_libdir}/tmpfiles.d"

RDEPENDS:${PN} = "porthole"
