#!/bin/sh
# Installs the Debian or Fedora packages that atomic-ts needs: `setup.sh run|demo|test|bench`, each more than the one before.
# Does nothing, quickly, when all of them are there. node and npm are expected to be there.
set -eu

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

purpose=${1:-run}

# shellcheck disable=SC1091
. /etc/os-release
case " $ID ${ID_LIKE:-} " in
  *' debian '* | *' ubuntu '*)
    family=debian
    run='ostree runc'
    demo='systemd systemd-container dbus docker-registry busybox-static crun ncat curl'
    # containerd comes with docker.io; it is named to know whether it was there before.
    test='skopeo umoci strace zstd attr libcap2-bin apache2-utils openssl python3 rpm man-db docker.io containerd'
    bench='pigz podman'
    ;;
  *' fedora '* | *' rhel '*)
    family=fedora
    run='ostree runc'
    # Fedora has no package of a registry; the demo and the tests look for `docker-registry` and `registry` themselves.
    demo='systemd systemd-container dbus-broker busybox crun nmap-ncat curl util-linux'
    test='skopeo umoci strace zstd attr libcap httpd-tools openssl python3 rpm-build man-db moby-engine'
    bench='pigz podman'
    ;;
  *) fail "this knows the packages of Debian and Fedora, and /etc/os-release says $ID; see its source for the list" ;;
esac

case $purpose in
  run) wanted=$run ;;
  demo) wanted="$run $demo" ;;
  test) wanted="$run $demo $test" ;;
  bench) wanted="$run $demo $test $bench" ;;
  *) fail "usage: setup.sh run|demo|test|bench, and not '$purpose'" ;;
esac

# Prints those of its arguments that are no installed packages.
list_missing() {
  for package in "$@"; do
    if [ "$family" = debian ]; then
      case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
        ?i*) ;;
        *) echo "$package" ;;
      esac
    else
      rpm -q --quiet --whatprovides "$package" || echo "$package"
    fi
  done
}

# Puts a policy in place that forbids packages to start their services on this machine, unless it has one of its own.
POLICY=/usr/sbin/policy-rc.d
MARK='# put here by atomic-ts packaging/setup.sh while it installs packages; safe to remove'
forbid_services() {
  # One with our mark is left from a run that was killed.
  if [ -e "$POLICY" ] && ! grep -qF "$MARK" "$POLICY"; then return; fi
  trap 'rm -f "$POLICY"' EXIT
  trap 'exit 1' INT TERM HUP
  printf '#!/bin/sh\n%s\nexit 101\n' "$MARK" >"$POLICY"
  chmod 755 "$POLICY"
}

# Services that a package has enabled for the next boot of this machine, and that nobody asked for.
disable_services() {
  case " $missing " in *' docker-registry '*) systemctl --quiet disable docker-registry.service ;; esac
  case " $missing " in *' docker.io '*) systemctl --quiet disable docker.service docker.socket ;; esac
  case " $missing " in *' containerd '*) systemctl --quiet disable containerd.service ;; esac
  case " $missing " in
    *' podman '*)
      systemctl --quiet disable podman.socket podman.service \
        podman-restart.service podman-auto-update.service podman-auto-update.timer
      ;;
  esac
}

# shellcheck disable=SC2086
missing=$(list_missing $wanted | xargs)
if [ -z "$missing" ]; then
  say "all packages for '$purpose' are installed"
  exit 0
fi
[ "$(id -u)" = 0 ] || fail "these packages are missing: $missing. Run this as root to install them."

say "installing: $missing"
if [ "$family" = debian ]; then
  forbid_services
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=120 update </dev/null || say 'apt-get update failed; trying with the lists there are'
  # shellcheck disable=SC2086
  apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install --yes --no-install-recommends $missing </dev/null
  disable_services
else
  # Fedora starts no service when it installs one.
  # shellcheck disable=SC2086
  dnf --assumeyes --setopt=install_weak_deps=False install $missing </dev/null
fi
# shellcheck disable=SC2086
missing=$(list_missing $wanted | xargs)
[ -z "$missing" ] || fail "still missing after the installation: $missing"
say "done"
