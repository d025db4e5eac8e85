# shellcheck shell=bash
# shellcheck disable=SC2034  # the other parts use these names
# Shared by all parts of ci/lab: names, addresses, messages, the lock, packages.

cache=${CLAWFLEET_LAB_CACHE:-/var/cache/clawfleet-lab}
run=/run/clawfleet-lab
share=$cache/share          # what every host sees as /opt/clawfleet-lab
gateways=$cache/gateways    # what every host sees as /opt/clawfleet-gateways
first_number=151
bastion=bastion
default_real_version=2026.6.10

die() { printf 'lab: %s\n' "$*" >&2; exit 1; }
say() { printf 'lab: %s\n' "$*" >&2; }

usage_error() { printf 'lab: %s; see ci/lab --help\n' "$*" >&2; exit 64; }

# Addresses: VM151 is 10.77.0.151; from VM255 on the third byte counts on, and
# .0 and .255 are left out because some tools take them for network addresses.
address_of() {
  local number=${1#VM} beyond
  if ((number <= 254)); then
    printf '10.77.0.%d' "$number"
  else
    beyond=$((number - 255))
    printf '10.77.%d.%d' $((1 + beyond / 254)) $((1 + beyond % 254))
  fi
}

mac_of() { local number=${1#VM}; printf '02:77:00:00:%02x:%02x' $((number / 256)) $((number % 256)); }

port_of() { printf 'v%s' "${1#VM}"; }   # the host's network port on the bastion's bridge

running_hosts() {
  [[ -d $run/hosts ]] || return 0
  find "$run/hosts" -mindepth 1 -maxdepth 1 -name 'VM*' -printf '%f\n' | sort -V
}

state_get() { cat "$run/hosts/$1/$2" 2>/dev/null || true; }
state_set() { printf '%s\n' "$3" >"$run/hosts/$1/$2"; }

require_host() {
  [[ -n ${1:-} ]] || usage_error 'a host is missing'
  [[ $1 =~ ^VM[0-9]+$ ]] || usage_error "not a host of the lab: $1"
  [[ -d $run/hosts/$1 ]] || die "$1 is not up; ci/lab status lists the hosts, ci/lab up N brings them up"
}

require_number() {
  if [[ ! $1 =~ ^[1-9][0-9]{0,3}$ ]] || (($1 < first_number)); then
    usage_error "not the number of a host, which are from $first_number on: $1"
  fi
}

require_machine() {
  [[ $(uname -s) == Linux ]] || die 'the lab needs Linux; run it on a Linux machine or in a virtual machine'
  ((EUID == 0)) || die 'the lab needs root; run it with sudo'
}

# One `up`, `down` or network change at a time. The descriptor is 9; whatever outlives this
# program is started with `9>&-`, or the next caller would wait for it for ever.
take_lock() {
  mkdir -p "$run"
  exec 9>"$run.lock"
  flock -w "${CLAWFLEET_LAB_LOCK_WAIT:-300}" 9 ||
    die 'another ci/lab is still at work after minutes; wait until it ends, or end it'
}

# Runs a long command so that a signal to this program is acted on at once: bash keeps a trap waiting
# for a foreground command. The command gets a process group, which the trap can end as a whole.
# The output goes to a file from inside: redirecting the call would redirect what the trap says.
patient_child=
patiently() { # OUTPUT COMMAND…
  local output=$1
  shift
  set -m
  "$@" </dev/null >"$output" 2>&1 9>&- &
  patient_child=$!
  set +m
  local status=0
  wait "$patient_child" || status=$?
  patient_child=
  return "$status"
}

end_patient_child() {
  [[ -n $patient_child ]] || return 0
  kill -TERM -- "-$patient_child" 2>/dev/null || true
  wait "$patient_child" 2>/dev/null || true
}

apt_updated=
install_packages() {
  command -v apt-get >/dev/null || die "missing: $*; install them (the lab can do it by itself only with apt-get)"
  if [[ -z $apt_updated ]]; then
    say "installing $*"
    apt-get update -qq >/dev/null 9>&- || die 'apt-get update failed; check the package sources of this machine'
    apt_updated=1
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 9>&- ||
    die "apt-get install $* failed; run it by hand to see why"
}

# need COMMAND PACKAGE …
need_tools() {
  local missing=()
  while (($#)); do
    command -v "$1" >/dev/null || missing+=("$2")
    shift 2
  done
  ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

need_lab_tools() {
  need_tools debootstrap debootstrap systemd-nspawn systemd-container ip iproute2 gcc gcc \
    ssh openssh-client python3 python3 flock util-linux nsenter util-linux
  [[ -e /usr/include/stdio.h ]] || install_packages libc6-dev
}

# A build that was interrupted may have left /proc and /sys mounted inside.
remove_tree() { # DIRECTORY…
  local directory mounted
  for directory in "$@"; do
    [[ -d $directory ]] || continue
    awk -v under="$directory/" 'index($2, under) == 1 {print $2}' /proc/self/mounts | sort -r |
      while read -r mounted; do umount -l "$mounted"; done
    rm -rf --one-file-system "$directory"
  done
}

# Copies only what changed and by rename, so that a running host never sees half a file.
install_file() { # SOURCE DESTINATION MODE
  cmp -s "$1" "$2" && return 0
  mkdir -p "${2%/*}"
  install -m "$3" "$1" "$2.new.$$"
  mv -f "$2.new.$$" "$2"
}
