#!/bin/sh
# Installs Chromium where this user may: as root, with the system's package manager. Does nothing where it is there.
# The tests open the review page in it; porter itself needs no browser.
set -eu
if command -v chromium >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "chromium is not installed and this is not root; run: sudo $0" >&2
    exit 1
fi
if command -v apt-get >/dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core
elif command -v dnf >/dev/null 2>&1; then
    dnf install -y -q chromium
else
    echo "no apt-get and no dnf here: install chromium with this system's own package manager" >&2
    exit 1
fi
