#!/bin/sh
# Makes a base image from Debian's packages, without any registry of images.
# Usage: docker/base.sh NAME; needs root and debootstrap. DOCKER names the client.
set -eu
root=$(mktemp -d)
trap 'rm -rf "$root" "$root.log"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" \
  >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
# The certificates that this machine trusts are those that its network needs.
certificates=etc/ssl/certs/ca-certificates.crt
cp "/$certificates" "$root/$certificates"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
chmod 755 "$root"
tar -C "$root" -c . | "${DOCKER:-docker}" import \
  --change "ENV PIP_CERT=/$certificates SSL_CERT_FILE=/$certificates" --change 'CMD ["python3"]' \
  - "$1"
