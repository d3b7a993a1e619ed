#!/bin/sh
# The real peers that the demo and the tests use: Orthanc with its DICOMweb plugin, DCMTK, dicom3tools, the GDCM tools and Chromium;
# strace records what the gateway asks of the disk, ip (iproute2) makes networks that can be cut.
# Quick when they are there. Uses apt where the user may; otherwise says what to do.
set -eu

PACKAGES="orthanc orthanc-dicomweb dcmtk dicom3tools libgdcm-tools chromium strace iproute2"
missing=""
for pair in Orthanc:orthanc storescu:dcmtk dciodvfy:dicom3tools gdcmconv:libgdcm-tools chromium:chromium strace:strace ip:iproute2; do
    PATH="/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin:/bin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 ||
        missing="$missing ${pair##*:}"
done
# A plugin, and no program.
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
[ -z "$missing" ] && exit 0

say() { printf '%s\n' "$*" >&2; }

if ! command -v apt-get >/dev/null 2>&1; then
    say "Missing:$missing. There is no apt-get here: install these with your system's package manager."
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root="sudo"
else
    say "Missing:$missing. Ask an administrator to run: apt-get install -y $PACKAGES"
    exit 1
fi

say "Installing:$missing"
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=5 -o Dpkg::Use-Pty=0 "$@"; }
# The packages may start a service of their own (Orthanc on 4242 and 8042); ours use other ports.
for try in 1 2 3; do
    # shellcheck disable=SC2086 - a list of package names
    if apt update >/dev/null && apt install -y --no-install-recommends $missing >/dev/null; then
        exit 0
    fi
    say "apt-get failed (attempt $try of 3)"
    sleep $((try * 5))
done
say "Could not install:$missing. Try: apt-get update && apt-get install -y $PACKAGES"
exit 1
