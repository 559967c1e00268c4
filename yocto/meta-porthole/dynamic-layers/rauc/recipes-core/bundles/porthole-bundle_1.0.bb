SUMMARY = "A signed update of Porthole's firmware"
DESCRIPTION = "The root file system of porthole-image as a RAUC bundle. RAUC_KEY_FILE and RAUC_CERT_FILE sign it."
SECTION = "multimedia"
LICENSE = "MIT"

inherit bundle

# It needs keys, which are not here.
EXCLUDE_FROM_WORLD = "1"

RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_COMPATIBLE = "porthole-${PORTHOLE_BOARD}"
RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs = "porthole-image"
RAUC_SLOT_rootfs[fstype] = "ext4"
