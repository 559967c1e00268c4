#!/bin/sh
# Unpacks Debian packages into a folder, those of arm64 too, and changes nothing of the system: `tests/debian-packages.sh FOLDER PACKAGE:ARCH...`.
# `PACKAGE>NAME` stands for the package that PACKAGE needs and whose name is NAME and a version. A folder that is there already with
# the same packages is left as it is.
set -eu
folder=$1
shift
if [ "$(cat "$folder/.packages" 2>/dev/null)" = "$*" ]; then exit 0; fi

echo "fetching into $folder: $*"
rm -rf "$folder"
mkdir -p "$folder/.apt/lists/partial" "$folder/.apt/archives/partial"
# Architectures are named here only: adding one to the system would change what every later installation does.
cat > "$folder/.apt/conf" <<EOF
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
Dir::State "$folder/.apt";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$folder/.apt";
EOF
export APT_CONFIG="$folder/.apt/conf"
apt-get update -q
names=""
for name in "$@"; do
    case $name in
    *">"*)
        of=${name%%>*} like=${name#*>}
        found=$(apt-cache depends --recurse --no-recommends --no-suggests "$of" | sed -n "s/.*Depends: \($like[0-9.]*[^ :]*\)\(:.*\)\?\$/\1/p" | head -n 1)
        [ -n "$found" ] || { echo "$of needs no $like" >&2; exit 1; }
        names="$names $found:${of#*:}"
        ;;
    *) names="$names $name" ;;
    esac
done
(cd "$folder/.apt/archives" && apt-get download -q $names)
for package in "$folder"/.apt/archives/*.deb; do dpkg-deb -x "$package" "$folder"; done
rm -rf "$folder/.apt"
echo "$*" > "$folder/.packages"
