# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names shared between the parts: common.sh, ci/lab
# The hosts: booting, stopping, entering, listing them.

cgroup_root=/sys/fs/cgroup

# What this machine can give: `hybrid` (v1 with a v2 tree beside it), `v1`, `v2`, or nothing.
machine_cgroups() {
  local kind
  kind=$(stat -f -c %T "$cgroup_root" 2>/dev/null || true)
  if [[ $kind == cgroup2fs ]]; then
    echo v2
  elif [[ -w $cgroup_root/systemd/cgroup.procs && -w $cgroup_root/unified/cgroup.procs ]]; then
    echo hybrid
  elif [[ -w $cgroup_root/systemd/cgroup.procs ]]; then
    echo v1
  fi
}

# From 257 on systemd refuses to boot on v1.
needs_v2() { [[ $1 != bullseye && $1 != bookworm ]]; } # SUITE

choose_cgroup() { # SUITE WANTED(or empty)
  local suite=$1 wanted=$2 has
  has=$(machine_cgroups)
  [[ -n $has ]] || die "no usable cgroup tree: neither $cgroup_root (v2) nor $cgroup_root/systemd (v1) can be written; mount one of them"
  if [[ -z $wanted ]]; then
    if needs_v2 "$suite" || [[ $has == v2 ]]; then wanted=v2; else wanted=v1; fi
  fi
  case $wanted in
    v1) [[ $has != v2 ]] || die "this machine has only cgroup v2; use --cgroup v2" ;;
    v2) [[ $has != v1 ]] || die "cgroup v2 is missing: $cgroup_root/unified is not mounted; mount it or use --suite bookworm --cgroup v1" ;;
    *) usage_error "--cgroup is v1 or v2, not $wanted" ;;
  esac
  [[ $wanted == v2 ]] || ! needs_v2 "$suite" || die "$suite needs cgroup v2; use --cgroup v2"
  echo "$wanted"
}

# nspawn puts the hosts that are started from one cgroup into one and the same tree,
# where their managers would meet each other's units: each host gets a cgroup of its own.
cgroup_dirs_of() { # HOST
  local tree
  for tree in "$cgroup_root" "$cgroup_root/systemd" "$cgroup_root/unified"; do
    if [[ -w $tree/cgroup.procs ]]; then printf '%s/clawfleet-lab/%s\n' "$tree" "$1"; fi
  done
}

prepare_host() { # HOST SUITE CGROUP GATEWAY(real|standin) REAL_VERSION KEEP(yes|no)
  local host=$1 dir=$run/hosts/$1
  mkdir -p "$dir"
  state_set "$host" address "$(address_of "$host")"
  state_set "$host" suite "$2"
  state_set "$host" cgroup "$3"
  state_set "$host" gateway "$4"
  state_set "$host" planted-gateway "$4"
  state_set "$host" version "$5"
  state_set "$host" scenario healthy
  [[ $6 == no ]] || keep_writes "$host" "$(rootfs_of "$2")"
  make_network "$host"
}

# nspawn's own overlay goes with each boot. This one is mounted beside the host, in memory, and stays until
# the host is taken down. What was written and not synced survives a power loss here: the machine keeps running.
keep_writes() { # HOST ROOTFS
  local dir=$run/hosts/$1
  mkdir -p "$dir/writes" "$dir/root"
  mount -t tmpfs -o size=256m,mode=0755 "lab-$1" "$dir/writes"
  mkdir -p "$dir/writes/upper" "$dir/writes/work"
  mount -t overlay -o "lowerdir=$2,upperdir=$dir/writes/upper,workdir=$dir/writes/work" "lab-$1" "$dir/root" ||
    die 'this kernel puts no overlay on a file system in memory (CONFIG_OVERLAY_FS); leave out --keep-writes'
}

boot_host() { # HOST
  local host=$1 dir=$run/hosts/$1 tree=() groups=() root=() gateway
  gateway=$(state_get "$host" gateway)
  mapfile -t groups < <(cgroup_dirs_of "$host")
  mkdir -p "${groups[@]}"
  rm -f "$dir/leader"
  # Unset, the host gets the machine's own kind of tree: hybrid v1 on a hybrid machine. A pure v1 tree
  # (=0) is of no use: its notice of an emptied cgroup does not reach a container, and stops time out.
  [[ $(state_get "$host" cgroup) == v1 ]] || tree=(SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1)
  root=(-D "$(rootfs_of "$(state_get "$host" suite)")" --volatile=overlay)
  [[ ! -d $dir/root ]] || root=(-D "$dir/root")
  # shellcheck disable=SC2016  # expanded by the inner shell
  env "${tree[@]}" SYSTEMD_NSPAWN_LOCK=0 setsid bash -c '
    while [[ $1 != -- ]]; do echo $$ >"$1/cgroup.procs"; shift; done
    shift
    exec "$@"' boot "${groups[@]}" -- \
    systemd-nspawn -q "${root[@]}" -M "$host" --hostname="$host" \
    --network-namespace-path="/run/netns/$host" --register=no --keep-unit --link-journal=no \
    --settings=no --resolv-conf=off --timezone=off --kill-signal=SIGRTMIN+3 \
    --bind-ro="$share:/opt/clawfleet-lab" --bind-ro="$gateways:/opt/clawfleet-gateways" \
    --setenv="CLAWFLEET_GATEWAY=$gateway" --setenv="CLAWFLEET_REAL_VERSION=$(state_get "$host" version)" \
    /bin/sh /opt/clawfleet-lab/host/init </dev/null >>"$dir/console.log" 2>&1 8>&- 9>&- &
  state_set "$host" nspawn-pid $!
}

# The host goes down and is up again, with what it had written. Its network and its address stay.
reboot_host() { # HOST power-loss|clean
  local host=$1 how=$2
  require_host "$host"
  [[ -d $run/hosts/$host/root ]] || die "$host keeps nothing over a reboot; bring it up with: ci/lab up N --keep-writes"
  exec 8>"$run/hosts/$host/lock"
  flock 8
  if [[ $how == clean ]]; then
    # An init that is at its end ends nspawn, too.
    host_exec "$host" systemctl poweroff --no-wall >/dev/null 2>&1 || true
    gone_within 60 "$host" || die "$host does not shut down; look at $run/hosts/$host/console.log"
  fi
  kill_host "$host"
  boot_host "$host"
}

gone_within() { # SECONDS HOST
  local deadline=$((SECONDS + $1)) pid
  pid=$(state_get "$2" nspawn-pid)
  while [[ -d /proc/$pid ]] && [[ $(awk '/^State:/ {print $2}' "/proc/$pid/status" 2>/dev/null) != Z ]]; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

# Until it answers on port 22 again.
wait_for_boot() { # HOST
  local silent
  silent=$(wait_for_banners 60 "$1")
  [[ -z $silent ]] || die "$1 does not answer on port 22; look at $run/hosts/$1/console.log"
  leader_of "$1" >/dev/null
}

# nspawn's only child that is a PID 1 is the host's systemd.
leader_of() { # HOST
  local pid child
  pid=$(state_get "$1" leader)
  child=$(state_get "$1" nspawn-pid)
  # Told to reboot from inside, a host ends; what had its number may be anything by now.
  if [[ -z $pid || $(awk '/^PPid:/ {print $2}' "/proc/$pid/status" 2>/dev/null) != "$child" ]]; then
    [[ -n $child ]] || return 1
    for pid in $(pgrep -P "$child"); do
      if [[ $(awk '/^NSpid:/ {print $NF}' "/proc/$pid/status" 2>/dev/null) == 1 ]]; then
        state_set "$1" leader "$pid"
        echo "$pid"
        return 0
      fi
    done
    return 1
  fi
  echo "$pid"
}

# Runs a command as root inside a host, past ssh. It joins the cgroup of the host's init: systemd 257
# refuses requests of processes whose cgroup is outside its tree.
host_exec() { # HOST COMMAND…
  local host=$1 leader
  shift
  leader=$(leader_of "$host") || die "$host has no init process; look at $run/hosts/$host/console.log"
  (
    join_cgroup_of "$leader"
    exec nsenter -t "$leader" -m -u -i -n -p -C -r -w -- \
      /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/var/lib/lab-hidden \
      HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" CLAWFLEET_REAL_VERSION="$(state_get "$host" version)" "$@"
  )
}

join_cgroup_of() { # PID
  local controllers path tree
  while IFS=: read -r _ controllers path; do
    case $controllers in
      '') tree=$cgroup_root/unified; [[ -d $tree ]] || tree=$cgroup_root ;;
      name=systemd) tree=$cgroup_root/systemd ;;
      *) continue ;;
    esac
    echo "$BASHPID" >"$tree$path/cgroup.procs"
  done <"/proc/$1/cgroup"
}

ssh_to() { # USER HOST [COMMAND…]
  local user=$1 host=$2
  shift 2
  in_bastion ssh -F none -i "$run/id_ed25519" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=10 \
    -o UserKnownHostsFile="$run/known_hosts" -o StrictHostKeyChecking=yes -o LogLevel=ERROR \
    "$user@$(state_get "$host" address)" "$@"
}

# Waits until every given address sends an ssh banner; prints those that did not.
wait_for_banners() { # SECONDS HOST…
  local seconds=$1 host
  shift
  for host in "$@"; do printf '%s %s\n' "$host" "$(state_get "$host" address)"; done |
    in_bastion python3 "$lab_dir/wait-banner.py" "$seconds"
}

kill_host() { # HOST: everything in its cgroups, which nspawn and its init are in
  local dir pids pid nspawn i
  nspawn=$(state_get "$1" nspawn-pid)
  for ((i = 0; i < 100; i++)); do
    pids=$(while read -r dir; do
      find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null || true
    done < <(cgroup_dirs_of "$1") | sort -un)
    [[ -n $pids ]] || break
    # The init first: nspawn then cleans up its mounts and goes by itself.
    for pid in $pids; do
      if ((i > 20)) || [[ $pid != "$nspawn" ]]; then kill -KILL "$pid" 2>/dev/null || true; fi
    done
    sleep 0.05
  done
}

remove_host() { # HOST: what is left of a dead host
  local dir
  drop_network "$1"
  for dir in "$run/hosts/$1/root" "$run/hosts/$1/writes"; do
    # Its own mount namespace may be at its end still.
    if mountpoint -q "$dir"; then umount "$dir" 2>/dev/null || umount -l "$dir"; fi
  done
  while read -r dir; do
    [[ -d $dir ]] && find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null
  done < <(cgroup_dirs_of "$1")
  rm -rf "$run/hosts/$1"
}

stop_hosts() { # HOST…
  local host
  for host in "$@"; do kill_host "$host" & done
  wait
  for host in "$@"; do remove_host "$host"; done
}

lab_down() { # FROM NUMBER
  local hosts tree from=$1
  mapfile -t hosts < <(running_hosts | awk -v from="$from" 'substr($0, 3) + 0 >= from')
  ((${#hosts[@]} == 0)) || stop_hosts "${hosts[@]}"
  if [[ -n $(running_hosts) ]]; then
    write_known_hosts
    return 0
  fi
  if [[ -f $run/made-bastion && -e /run/netns/$bastion ]]; then ip netns delete "$bastion"; fi
  for tree in "$cgroup_root" "$cgroup_root/systemd" "$cgroup_root/unified"; do
    if [[ -d $tree/clawfleet-lab ]]; then rmdir "$tree/clawfleet-lab" || true; fi
  done
  rm -rf "$run"
}

# The kernel's allowance of inotify instances is per user: a few hundred systemds outgrow it.
raise_limits() { # NUMBER OF HOSTS
  local name wanted
  for name in fs/inotify/max_user_instances:$(($1 * 24 + 128)) fs/inotify/max_user_watches:$(($1 * 400 + 8192)) \
    kernel/keys/root_maxkeys:$(($1 * 100 + 1000)) kernel/pty/max:$(($1 * 4 + 4096)) kernel/pid_max:65536 \
    fs/file-max:$(($1 * 2000 + 100000)); do
    wanted=${name#*:}
    name=/proc/sys/${name%:*}
    [[ -w $name ]] || continue
    if (($(<"$name") < wanted)); then echo "$wanted" >"$name" || true; fi
  done
}

lab_up() { # N SUITE CGROUP REAL VERSION FROM KEEP
  local count=$1 suite=$2 cgroup=$3 real=$4 version=$5 from=$6 keep=$7 i host gateway new=() silent=()
  need_lab_tools
  cgroup=$(choose_cgroup "$suite" "$cgroup")
  for ((i = 1; i <= count; i++)); do
    host=VM$((from + i - 1))
    [[ -d $run/hosts/$host ]] || new+=("$host")
  done
  lab_new_hosts=()
  trap 'trap "" TERM INT; say "interrupted: taking down what was started"; end_patient_child; undo_up' TERM INT
  mkdir -p "$run/hosts" "$share" "$gateways"
  chmod 0711 "$cache" "$run"
  publish_share
  ((${#new[@]})) || return 0
  build_rootfs "$suite"
  ((real == 0)) || install_real "$version"
  make_keys "${new[@]}"
  raise_limits "$count"
  lab_new_hosts=("${new[@]}")
  make_bastion
  for host in "${new[@]}"; do
    gateway=standin
    if ((${host#VM} - from < real)); then gateway=real; fi
    prepare_host "$host" "$suite" "$cgroup" "$gateway" "$version" "$keep"
    boot_host "$host"
  done
  write_known_hosts
  patiently "$run/silent" wait_for_banners $((60 + count)) "${new[@]}"
  mapfile -t silent <"$run/silent"
  if ((${#silent[@]})); then
    for host in "${silent[@]}"; do
      say "$host does not answer on port 22; the end of its console:"
      tail -n 5 "$run/hosts/$host/console.log" >&2 || true
    done
    undo_up
  fi
  for host in "${new[@]}"; do leader_of "$host" >/dev/null; done
  trap - TERM INT
}

undo_up() {
  if ((${#lab_new_hosts[@]})); then
    stop_hosts "${lab_new_hosts[@]}"
    write_known_hosts
  fi
  [[ -n $(running_hosts) ]] || lab_down 0
  exit 1
}

lab_status() {
  local host
  [[ -n $(running_hosts) ]] || { echo 'no host is up'; return 0; }
  printf '%-7s %-13s %-9s %-6s %-8s %-15s %s\n' HOST ADDRESS SUITE CGROUP GATEWAY SCENARIO LINK
  for host in $(running_hosts); do
    printf '%-7s %-13s %-9s %-6s %-8s %-15s %s\n' "$host" "$(state_get "$host" address)" \
      "$(state_get "$host" suite)" "$(state_get "$host" cgroup)" "$(state_get "$host" planted-gateway)" \
      "$(state_get "$host" scenario)" "$(link_state "$host")"
  done
}

link_state() { # HOST
  local ms
  ms=$(state_get "$1" delay)
  if [[ -f $run/hosts/$1/partitioned ]]; then echo partitioned; else echo "${ms:+${ms} ms}"; fi
}

lab_inventory() {
  local host hosts version variant extra
  hosts=$(running_hosts)
  [[ -n $hosts ]] || die 'no host is up; ci/lab up N brings them up'
  cat <<END
defaults: {user: root, identity: $run/id_ed25519, known_hosts: $run/known_hosts, service: {unit: openclaw-gateway.service, scope: auto, port: 18789}}
groups:
  lab: {hosts: [$(number_ranges "$hosts")]}
hosts:
END
  for host in $hosts; do
    printf '  %s: {address: %s, ' "$host" "$(state_get "$host" address)"
    if [[ $(state_get "$host" scenario) == unprivileged ]]; then printf 'user: guest, '; fi
    if declare -F inventory_extra >/dev/null; then inventory_extra "$(state_get "$host" scenario)"; fi
    extra=''
    if declare -F inventory_labels >/dev/null; then extra=$(inventory_labels "$(state_get "$host" scenario)"); fi
    version='' variant=$(state_get "$host" variant)
    # A stand-in is of no version that one could choose.
    [[ $(state_get "$host" planted-gateway) != real ]] || version=$(state_get "$host" version)
    printf 'labels: {%ssuite: %s, scenario: %s, gateway: %s%s%s}}\n' "$extra" "$(state_get "$host" suite)" \
      "$(state_get "$host" scenario)" "$(state_get "$host" planted-gateway)" \
      "${version:+, version: \"$version\"}" "${variant:+, variant: $variant}"
  done
}

number_ranges() { # HOSTS, sorted → "VM[151-153,160]"
  tr ' ' '\n' <<<"$1" | sed 's/^VM//' | awk '
    function flush() { out = out (out == "" ? "" : ",") (first == last ? first : first "-" last) }
    NR == 1 { first = last = $1; next }
    $1 == last + 1 { last = $1; next }
    { flush(); first = last = $1 }
    END { flush(); printf "\"VM[%s]\"", out }'
}
