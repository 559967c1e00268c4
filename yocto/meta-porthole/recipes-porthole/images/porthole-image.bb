SUMMARY = "Porthole's firmware"
DESCRIPTION = "A read-only root in two slots for updates, and one partition for what must survive them."
SECTION = "multimedia"
LICENSE = "MIT"

inherit core-image

IMAGE_FEATURES += "read-only-rootfs"
# The kernel is in the slot, so that an update replaces both.
IMAGE_INSTALL = "packagegroup-core-boot kernel-image packagegroup-porthole"

IMAGE_FSTYPES = "ext4 wic.gz wic.bmap"
WKS_FILE = "porthole-ab.wks.in"

# MiB; the root file system must fit.
PORTHOLE_SLOT_MIB ?= "256"
IMAGE_ROOTFS_EXTRA_SPACE = "0"
IMAGE_OVERHEAD_FACTOR = "1.1"
IMAGE_ROOTFS_MAXSIZE = "${@int(d.getVar('PORTHOLE_SLOT_MIB')) * 1024}"
# Where the boot ROM looks for its loader, as lines of a wks file; for boards that read it from a partition: none.
PORTHOLE_WKS_LOADER ?= ""

# The configuration changes, the root does not.
porthole_link_config() {
    mv ${IMAGE_ROOTFS}${sysconfdir}/porthole/porthole.toml ${IMAGE_ROOTFS}${datadir}/porthole/porthole.toml
    ln -s ${localstatedir}/lib/porthole/porthole.toml ${IMAGE_ROOTFS}${sysconfdir}/porthole/porthole.toml
}
porthole_link_config[doc] = "Puts the configuration on the data partition"
ROOTFS_POSTPROCESS_COMMAND += "porthole_link_config"
