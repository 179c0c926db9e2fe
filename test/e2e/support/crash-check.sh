#!/bin/bash
# Inside the throw-away host: kills one command at one of its moments, lets `atomic-ts repair` end it, and prints what
# is there then.
#   crash-check.sh state              everything that a change may touch, in words that do not change from run to run
#   crash-check.sh break N CMD...     CMD, killed at moment N, and nothing put right; then the log of its moments
#   crash-check.sh point N CMD...     CMD, killed at moment N (0: not at all); then the repair; then the state
#   crash-check.sh syscall N CMD...   the same; it or a program that it runs is killed at its Nth rename, link or unlink
# Complaints, of what may never be, begin with `BAD`.
set -uo pipefail
export LC_ALL=C
readonly SYSCALLS=rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,symlink,symlinkat
readonly CHECKOUTS=/var/lib/containers/atomic REPOSITORY=/var/lib/containers/atomic/.storage/ostree

# A page that is served within five seconds, once its service is up.
page() {
  local i
  for ((i = 0; i < 100; i++)); do
    curl --silent --show-error --max-time 2 "$1" 2>/dev/null && return
    sleep 0.05
  done
  echo 'no answer'
}

state() {
  cd / || exit 1
  # First of all: a service that was started again writes its page a moment later.
  systemctl --quiet is-active bystander && echo "bystander serves $(page http://127.0.0.1:8082/)"
  systemctl --quiet is-active hello && echo "hello serves $(page http://127.0.0.1:8081/)"
  local roots=(etc/systemd/system etc/tmpfiles.d etc/crash usr/share/crash run/hello run/bystander var/lib/containers/atomic)
  find "${roots[@]}" -path '*/.storage' -prune -o -path '*/.atomic-ts' -prune -o -printf '%p %y %m %U:%G %l\n' 2>/dev/null | sort
  find "${roots[@]}" -path '*/.storage' -prune -o -type f ! -name info -print0 2>/dev/null | sort -z | xargs -0r sha256sum
  # Times and identifiers are new in each run; everything else in an info has to be as it was.
  for file in var/lib/containers/atomic/*/info var/lib/containers/atomic/.atomic-ts/*/*/info; do
    [ ! -e "$file" ] || echo "$file: $(grep -vE '"(created|UUID|ostree-commit)":' "$file" | sha256sum)"
  done
  systemctl show --property=Id,LoadState,ActiveState,UnitFileState hello.service bystander.service | xargs
  echo "runc: $(find /run/runc -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort | xargs)"
  [ ! -e $REPOSITORY/refs ] || (cd $REPOSITORY/refs/heads && find ociimage -type f -printf 'ref %p\n' | sort)
}

# What may be there in neither state.
complain() {
  find $CHECKOUTS/.atomic-ts/{journal,staging,trash} -mindepth 1 2>/dev/null | sed 's/^/BAD left over: /'
  find /etc /usr/share/crash $CHECKOUTS -path $REPOSITORY -prune -o \( -name '*.atomic-new' -o -name '*.atomic-old' \) -print 2>/dev/null | sed 's/^/BAD left over: /'
  find $REPOSITORY/extensions -type f \( -name '*.tmp' -o -path '*/removed-refs/*' \) 2>/dev/null | sed 's/^/BAD left over: /'
  find $REPOSITORY/tmp -mindepth 1 -maxdepth 1 -name 'staging-*' 2>/dev/null | sed 's/^/BAD left over: /'
  [ ! -e $REPOSITORY/objects ] || ostree --repo=$REPOSITORY fsck --quiet >/run/crash-fsck 2>&1 || sed 's/^/BAD fsck: /' /run/crash-fsck
  systemctl list-units --failed --no-legend --plain 2>/dev/null | sed 's/^/BAD failed unit: /'
  grep -F " $CHECKOUTS" /proc/self/mountinfo | sed 's/^/BAD mounted: /'
  pgrep -ax '(ostree|flock|systemctl|systemd-tmpfil).*' | sed 's/^/BAD still runs: /'
}

# Runs CMD, killed at moment N.
strike() {
  rm -f /run/crash-log
  CRASH_AT=$1 CRASH_LOG=/run/crash-log NODE_OPTIONS=--import=/images/crash-points.mjs "${@:2}" >/run/crash-output 2>&1
}

# The repair, and what is there then.
judge() {
  atomic-ts repair >/run/crash-repair 2>&1 || sed 's/^/BAD repair: /' /run/crash-repair
  state
  complain
}

case $1 in
  state)
    state
    complain
    ;;
  break)
    strike "${@:2}"
    cat /run/crash-log
    ;;
  point)
    strike "${@:2}"
    echo "status $?"
    echo "at $(tail -n 1 /run/crash-log)"
    judge
    ;;
  syscall)
    number=$2
    shift 2
    # Each process counts its own calls; with one thread for them, node's count as one process's.
    UV_THREADPOOL_SIZE=1 strace -f -qq -o /run/crash-strace -e trace=$SYSCALLS \
      -e inject=$SYSCALLS:signal=KILL:when="$number" "$@" >/run/crash-output 2>&1
    echo "status $?"
    echo "at $(grep -c 'killed by SIGKILL' /run/crash-strace)"
    judge
    ;;
esac
exit 0
