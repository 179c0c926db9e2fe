#!/bin/bash
# The way of an image from a registry to a running service and back, on a throw-away host with a systemd of its own.
# Needs root and dist/; ends with status 1 as soon as something is not as announced. This machine stays as it is.
set -euo pipefail

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
readonly repository host=$repository/test/host/host name=demo-$$
readonly image=localhost:5000/hello-world page=http://localhost:8081/ checkouts=/var/lib/containers/atomic
work=$(mktemp -d)

fail() {
  printf '\ndemo: %s\n' "$*" >&2
  exit 1
}
step() { printf '\n==> %s\n' "$*"; }
inside() { "$host" exec "$name" -- "$@" </dev/null; }

expect() { [ -z "$1" ] || grep -qF -- "$1" "$work/output" || fail "expected '$1' in that output"; }

# Shows and runs a command in the host; fails unless it succeeds and prints EXPECTED.
run() {
  local expected=$1
  shift
  printf '$ %s\n' "$*"
  inside "$@" 2>&1 | tee "$work/output" || fail "that command failed"
  expect "$expected"
}

# The same for a command that has to fail.
run_failing() {
  local expected=$1
  shift
  printf '$ %s\n' "$*"
  if inside "$@" 2>&1 | tee "$work/output"; then fail "expected that command to fail"; fi
  expect "$expected"
}

# Fetches URL until the answer has EXPECTED in it; a service needs a moment after its start. 10 s at most.
fetch() {
  local expected=$1 url=$2 deadline=$((SECONDS + 10))
  printf '$ curl %s\n' "$url"
  until inside curl -fsS --max-time 2 "$url" >"$work/output" 2>&1 && grep -qF -- "$expected" "$work/output"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      cat "$work/output"
      inside journalctl --no-pager -n 30 || true
      fail "expected '$expected' from $url within 10 s"
    fi
    sleep 0.2
  done
  printf '%s\n' "$(cat "$work/output")"
}

[ "$(id -u)" = 0 ] || fail 'booting the throw-away host needs root'
[ -e "$repository/dist/atomic-ts.js" ] || fail 'dist/atomic-ts.js is missing; run make first'
registry=$(command -v docker-registry || command -v registry) ||
  fail 'no registry is installed (looked for docker-registry and registry): on Debian packaging/setup.sh demo installs it, Fedora has no package of one'

step 'Boot a throw-away host: the root of this machine, copy-on-write, under a systemd of its own'
trap '"$host" stop "$name"; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
"$host" start "$name" >/dev/null
run 'running' systemctl is-system-running
run 'bin/atomic-ts' make -C "$repository" install PREFIX=/usr

step 'Start a registry on its loopback, and an image to put there'
"$host" exec "$name" tee /etc/registry.yml >/dev/null <<'YAML'
version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: /var/lib/registry-demo } }
http: { addr: 127.0.0.1:5000 }
YAML
"$host" exec "$name" install -D /dev/stdin /etc/containers/registries.conf <<'TOML'
[[registry]]
location = "localhost:5000"
insecure = true
TOML
run 'registry.service' systemd-run --unit=registry "$registry" serve /etc/registry.yml
fetch '{}' http://localhost:5000/v2/
run 'sha256:' node "$repository/test/fixtures/build-hello-world.mjs" /root/hello-world
run '' atomic-ts copy oci:/root/hello-world:latest "docker://$image:latest"

step 'Install it as a system container, and see it run'
run 'systemctl start spc' atomic-ts install --system --name spc "$image"
run 'active (running)' systemctl --no-pager status spc
fetch 'Hi World' "$page"

step 'Update it with another value'
run '' atomic-ts update spc --set RECEIVER=Universe
fetch 'Hi Universe' "$page"

step 'Roll back'
run '' atomic-ts containers rollback spc
fetch 'Hi World' "$page"
run 'spc' atomic-ts containers list

step 'Uninstall it; nothing is left'
run 'systemctl disable --now spc' atomic-ts uninstall spc
run_failing 'spc.service could not be found' systemctl --no-pager status spc
run_failing 'No such file or directory' ls /etc/systemd/system/spc.service
run_failing 'No such file or directory' ls /etc/tmpfiles.d/spc.conf
run_failing 'Failed to connect' curl -sS --max-time 2 "$page"
run '' ls -A "$checkouts"
if grep -q '^spc' "$work/output"; then fail "expected no deployment of spc in $checkouts"; fi

step 'Done: everything was as announced'
