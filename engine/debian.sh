#!/usr/bin/env bash
# Installs the Debian packages that local machines need, or those that are named; touches nothing where none is missing.
set -euo pipefail

packages=("$@")
[ "$#" -gt 0 ] || packages=(mmdebstrap systemd-container nginx-light nftables iproute2)
missing=()

say() { printf 'packages: %s\n' "$*" >&2; }

if ! command -v dpkg-query >/dev/null; then
    say "this is no Debian or Ubuntu; local machines run as plain processes unless systemd-nspawn, mmdebstrap, nft, ip and nginx are installed"
    exit 0
fi
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
    [ "$status" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    say "not installed: ${missing[*]}. Without them local machines run as plain processes. To install: sudo apt-get install ${missing[*]}"
    exit 0
fi
say "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install_missing() { apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" >&2; }
# The index of a fresh machine is empty or old: fetch it, but only where the packages can't be had without.
if ! install_missing; then
    apt-get -qq update
    install_missing
fi
