# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names shared between the parts: common.sh, ci/lab
# The network: a namespace `bastion` with a bridge, and a pair of ends to each host's namespace.

in_bastion() { ip netns exec "$bastion" "$@"; }

make_bastion() {
  [[ -e /run/netns/$bastion ]] && return 0
  ip netns add "$bastion" || die 'this kernel gives no network namespaces (CONFIG_NET_NS)'
  : >"$run/made-bastion"
  ip -n "$bastion" -batch - <<END || die 'this kernel has no bridge or veth devices (CONFIG_BRIDGE, CONFIG_VETH)'
link set lo up
link add lab0 type bridge forward_delay 0 stp_state 0
addr add 10.77.255.254/16 dev lab0
link set lab0 up
END
}

# Both ends keep their names and addresses when a delayed link takes their place.
connect_host() { # HOST
  local host=$1
  ip -n "$bastion" link add "$(port_of "$host")" type veth peer name host0 netns "$host"
  dress_link "$host"
}

dress_link() { # HOST: the addresses and the bridge, on whatever kind of link is there
  local host=$1
  ip -n "$host" -batch - <<END
link set lo up
link set host0 address $(mac_of "$host")
addr add $(address_of "$host")/16 dev host0
link set host0 up
END
  ip -n "$bastion" link set "$(port_of "$host")" master lab0 up
}

make_network() { # HOST
  [[ -e /run/netns/$1 ]] || ip netns add "$1"
  connect_host "$1"
}

drop_network() { # HOST
  stop_delay "$1"
  if [[ -e /run/netns/$1 ]]; then
    ip netns delete "$1" 2>/dev/null || true
  fi
  # The bastion's end goes with the host's, but later than a new `up` may need its name.
  ip -n "$bastion" link delete "$(port_of "$1")" 2>/dev/null || true
}

set_link() { # HOST up|down
  require_host "$1"
  ip -n "$bastion" link set "$(port_of "$1")" "$2"
}

stop_delay() { # HOST
  local file=$run/hosts/$1/delay-pid pid
  [[ -f $file ]] || return 0
  pid=$(<"$file")
  if grep -qs delay-link.py "/proc/$pid/cmdline"; then
    kill "$pid"
    # A zombie counts as gone: not every machine's first process reaps at once.
    while grep -qs delay-link.py "/proc/$pid/cmdline"; do sleep 0.02; done
  fi
  rm -f "$file" "$run/hosts/$1/delay" "$run/hosts/$1/delay.log"
}

delay_host() { # HOST MILLISECONDS
  local host=$1 ms=$2 i
  require_host "$host"
  [[ $ms =~ ^[0-9]+$ ]] || usage_error "not a number of milliseconds: $ms"
  [[ -e /dev/net/tun ]] || die 'this machine has no /dev/net/tun; load it with: modprobe tun'
  stop_delay "$host"
  ip -n "$bastion" link delete "$(port_of "$host")" 2>/dev/null || true
  if ((ms == 0)); then
    connect_host "$host"
    return 0
  fi
  rm -f "$run/hosts/$host/delay.log"
  setsid python3 "$lab_dir/delay-link.py" "/run/netns/$bastion" "$(port_of "$host")" \
    "/run/netns/$host" host0 "$ms" </dev/null >"$run/hosts/$host/delay.log" 2>&1 9>&- &
  state_set "$host" delay-pid $!
  for ((i = 0; i < 250; i++)); do
    [[ -s $run/hosts/$host/delay.log ]] && break
    sleep 0.02
  done
  grep -q '^ready' "$run/hosts/$host/delay.log" ||
    die "the delayed link of $host did not come up: $(cat "$run/hosts/$host/delay.log")"
  dress_link "$host"
  state_set "$host" delay "$ms"
}
