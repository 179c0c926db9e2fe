#!/bin/bash
# The shell pipeline of C programs that bench/run.mjs measures against: an image's layers from a registry into an ostree
# repo; when a checkout is asked for, one tree of hard links made of them, on the disk when it ends; and when a unit is
# asked for, one that systemd knows and has enabled.
#
#   yardstick.sh REPOSITORY_URL REPO [CHECKOUT [UNIT_FILE]] <LAYERS
#
# LAYERS: "DIGEST BYTES" a line, base first. Two layers at a time, the largest first; those that the repo has are left
# alone. Each blob's digest is checked, and nothing else: no DiffID, no hostile tar, no undo.
set -euo pipefail

export url=$1 repo=$2
checkout=${3:-} unit=${4:-}
layers=$(cat)
[ -e "$repo/config" ] || ostree --repo="$repo" init --mode=bare

import_layer() {
  local digest=$1 hash sums
  sums=$(mktemp)
  exec {hash}> >(openssl dgst -r -sha256 >"$sums")
  hasher=$!
  curl -sf "$url/blobs/$digest" | tee "/dev/fd/$hash" | pigz -dc |
    ostree --repo="$repo" commit --branch="ociimage/${digest#sha256:}" --no-bindings --fsync=false \
      --tar-autocreate-parents --tree=tar=- --subject= {hash}>&- >/dev/null
  exec {hash}>&-
  wait "$hasher"
  [ "$(cut -d' ' -f1 "$sums")" = "${digest#sha256:}" ] || { echo "yardstick: $digest is damaged" >&2; exit 255; }
  rm "$sums"
}
export -f import_layer

sort -k2 -rn <<<"$layers" | while read -r digest _; do
  [ -e "$repo/refs/heads/ociimage/${digest#sha256:}" ] || echo "$digest"
done | xargs -r -n 1 -P 2 bash -euo pipefail -c 'import_layer "$1"' bash

[ -n "$checkout" ] || exit 0
mkdir -p "$checkout"
while read -r digest _; do printf 'ociimage/%s\0/\0' "${digest#sha256:}"; done <<<"$layers" |
  ostree --repo="$repo" checkout --require-hardlinks --union --whiteouts --fsync=false --from-stdin "$checkout"
sync --file-system "$checkout"

[ -n "$unit" ] || exit 0
printf '[Service]\nExecStart=/usr/bin/runc run yardstick\n[Install]\nWantedBy=multi-user.target\n' >"$unit"
systemctl daemon-reload
systemctl enable "${unit##*/}"
