#!/bin/sh
# Lints the layer with oelint-adv, from PyPI. Each suppression with its reason; FILESEXTRAPATHS has its own in the recipe.
set -eu
cd "$(dirname "$0")"
# Porthole has no public address; nobody files CVEs under its name; a daemon for boards has no native variant; the bundle takes
# its parts from other recipes; the licence of what this layer itself holds is openembedded-core's copy; hls.js has a version of
# its own.
oelint-adv --quiet --release=wrynose --constantmods=+oelint.json \
    --suppress oelint.var.mandatoryvar.HOMEPAGE --suppress oelint.var.suggestedvar.BUGTRACKER \
    --suppress oelint.var.suggestedvar.CVE_PRODUCT --suppress oelint.var.bbclassextend \
    --suppress oelint.var.mandatoryvar.SRC_URI --suppress oelint.var.licenseremotefile \
    --suppress oelint.vars.downloadfilename \
    $(find meta-porthole -name '*.bb' -o -name '*.bbappend' -o -name '*.conf' -path '*/conf/*')
