SUMMARY = "What a Porthole board runs"
DESCRIPTION = "The gateway, and the partition that keeps its configuration and its certificate."
SECTION = "multimedia"
LICENSE = "MIT"

inherit packagegroup

RDEPENDS:${PN} = "porthole porthole-storage"
