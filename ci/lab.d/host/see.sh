# shellcheck shell=sh
# shellcheck disable=SC2154  # names set in plant
# What can be seen on a host, and whether a scenario shows. Part of plant.

# The kernel's own list: a port in hexadecimal, 0A is LISTEN.
listening() { # [PORT]
  grep -qsi "$(printf ':%04X ' "${1:-$port}")[0-9a-f]*:0000 0A" /proc/net/tcp
}

not_listening() { ! listening "$@"; }

no_port_taken() { not_listening && not_listening "$work_port" && not_listening "$second_port"; }

wait_for() { # SECONDS COMMAND…
  ticks=$(($1 * 10))
  shift
  while ! "$@"; do
    ticks=$((ticks - 1))
    if [ "$ticks" -lt 0 ]; then
      echo "plant: waited in vain for: $*" >&2
      return 1
    fi
    sleep 0.1
  done
}

start_and_listen() {
  systemctl daemon-reload
  systemctl start "$unit"
  wait_for 90 listening
}

show() { systemctl show -p "$1" --value "$unit"; }

user_show() { user_ctl claw show -p "$1" --value "${2:-$unit}" 2>/dev/null; }

user_active() { [ "$(user_ctl "$1" is-active "$2" 2>/dev/null)" = active ]; } # USER UNIT

said() { journalctl -q -u "$unit" --no-pager -o cat | grep -q -e "$1"; }

user_said() { journalctl -q --no-pager -o cat _SYSTEMD_USER_UNIT="${2:-$unit}" + USER_UNIT="${2:-$unit}" | grep -q -e "$1"; }

# Listening is not yet serving: the real one is busy for a moment after it has bound its port.
serving() { [ "$(fetch /healthz "${1:-$port}")" = '{"ok":true,"status":"live"}' ]; }

fetch() { # PATH [PORT] [SECONDS]: there is no curl on a host
  fetch_head "$@" | sed '1,/^\r*$/d'
}

fetch_head() { # PATH [PORT] [SECONDS] [HEADER]
  # shellcheck disable=SC2016  # expanded by the inner shell
  /bin/bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$2" && printf "GET %s HTTP/1.0\r\nHost: localhost\r\n%b\r\n" "$1" "$4" >&3 &&
    timeout "$3" cat <&3' fetch "$1" "${2:-$port}" "${3:-5}" "${4:-}" 2>/dev/null
}

# The process that listens on the port: the socket's number is in the last but some columns.
holder() { # [PORT]
  inode=$(awk -v port="$(printf ':%04X' "${1:-$port}")" '$4 == "0A" && substr($2, 9) == port {print $10; exit}' /proc/net/tcp)
  [ -n "$inode" ] || return 1
  find /proc -maxdepth 3 -path '/proc/[0-9]*/fd/*' -lname "socket:\[$inode\]" 2>/dev/null | cut -d/ -f3 | head -n 1
}

cgroup_of_holder() { cut -d: -f3 "/proc/$(holder "$port")/cgroup"; }

# What the newcomer says at a taken port: the stand-in as 2026.6.10, real ones by their version.
refusal() { if [ "$gateway_kind" = real ]; then taken_text; else echo 'existing gateway is healthy'; fi; }

failed_twice() {
  [ "$(show NRestarts)" -ge 2 ] && [ "$(journalctl -q -u "$unit" --no-pager | grep -c "$1")" -ge 2 ]
}

user_failed_twice() { # UNIT
  [ "$(user_show NRestarts "$1")" -ge 2 ] && user_said "$(refusal)" "$1"
}

ended_with() { # RESULT STATUS: the unit's last run
  [ "$(show NRestarts)" -ge 1 ] && journalctl -q -u "$unit" --no-pager -o cat |
    grep -q -e "Main process exited, code=$1, status=$2"
}

noisy_enough() { [ "$(journalctl -q -u "$unit" --no-pager | grep -c 'Failed to start')" -ge 40 ]; }

both_serve() { serving && serving "$1"; }

failed_at_78() { not_listening && [ "$(show ActiveState)" = failed ] && [ "$(show ExecMainStatus)" = 78 ]; }

visible() { # SCENARIO
  case $1 in
    healthy | unprivileged | user-unit | busy-journal | gateway-unexpected) serving ;;
    orphan | orphan-root | duplicate-unit | leftover) listening && failed_twice "$(refusal)" ;;
    orphan-user) serving && user_failed_twice "$unit" ;;
    respawned) serving && user_failed_twice "$unit" && user_said 'signal SIGUSR1 received' ;;
    parked) listening && [ "$(show ActiveState)" = failed ] ;;
    duplicate-pingpong)
      [ "$(show NRestarts)" -ge 2 ] && [ "$(user_show NRestarts)" -ge 2 ] && said 'killing 1 stale gateway process' &&
        user_said 'killing 1 stale gateway process'
      ;;
    duplicate-states) serving && [ "$(user_show ActiveState)" = failed ] && [ "$(user_show ExecMainStatus)" = 78 ] ;;
    duplicate-one-active)
      serving && [ "$(show ActiveState)" = active ] && [ "$(user_show ActiveState)" = inactive ] &&
        [ "$(user_show UnitFileState)" = enabled ]
      ;;
    leftover-file) serving && [ -e "$user_unit_dir/$unit" ] && [ ! -e /run/user/1501/systemd ] ;;
    two-profiles | overlap) both_serve "$work_port" && user_active claw "$work_unit" && user_active claw "$unit" ;;
    two-users) both_serve "$second_port" && user_active claw "$unit" && user_active "$second_user" "$unit" ;;
    two-profiles-one-orphan) both_serve "$work_port" && user_active claw "$unit" && user_failed_twice "$work_unit" ;;
    restart-inside*)
      serving && [ "$(journalctl -q --no-pager -o cat | grep -c 'Stopping .*OpenClaw Gateway')" -ge 4 ]
      ;;
    foreign | foreign-unit | foreign-container)
      listening && [ "$(show ActiveState)" = failed ] && case $1 in
        foreign-unit) cgroup_of_holder | grep -q '/system\.slice/webapp\.service$' ;;
        foreign-container) cgroup_of_holder | grep -Eq '/docker-[0-9a-f]{64}\.scope$' ;;
      esac
      ;;
    client) serving && [ "$(client_connections)" -ge 3 ] ;;
    down | stopped | masked | maintenance)
      not_listening && [ "$(show ActiveState)" = inactive ] && case $1 in
        masked) [ "$(show LoadState)" = masked ] ;;
        stopped) [ "$(show UnitFileState)" = disabled ] ;;
      esac
      ;;
    crash) [ "$(show NRestarts)" -ge 2 ] ;;
    crash-segv) ended_with '\(killed\|dumped\)' 11/SEGV ;;
    crash-abort) ended_with '\(killed\|dumped\)' 6/ABRT ;;
    crash-oom) ended_with killed 9/KILL ;;
    crash-137) ended_with exited 137/n/a ;;
    hung) listening && [ "$(show ActiveState)" = active ] ;;
    hung-accepts) listening && [ -z "$(fetch_head /healthz "$port" 3)" ] && [ "$(show ActiveState)" = active ] ;;
    hung-500) fetch_head /healthz | head -n 1 | grep -q ' 500 ' && [ "$(show ActiveState)" = active ] ;;
    hung-slow) [ -z "$(fetch_head /healthz "$port" 5)" ] && [ -n "$(fetch_head /healthz "$port" 30)" ] ;;
    model-skipped) serving && said 'Fell back to' ;;
    noisy-journal) serving && noisy_enough ;;
    starting) not_listening && [ "$(show ActiveState)" = active ] ;;
    config-error | config-json | config-noauth | config-missing) failed_at_78 ;;
    config-key) not_listening && [ "$(show NRestarts)" -ge 2 ] && said 'Invalid config at' ;;
    config-broken-running) serving && said 'config reload skipped (invalid config)' ;;
    no-linger)
      serving && user_active claw "$unit" && [ ! -e /var/lib/systemd/linger/claw ] &&
        [ "$(loginctl show-user claw -p State --value)" = active ]
      ;;
    daemon-reload) serving && [ "$(show NeedDaemonReload)" = yes ] ;;
    bind-open) serving && grep -q ' 00000000:4965 ' /proc/net/tcp ;;
    secrets-readable)
      serving && [ "$(stat -c %a "$state/openclaw.json")" = 644 ] &&
        setpriv --reuid=guest --regid=guest --clear-groups cat "$state/openclaw.json" >/dev/null 2>&1
      ;;
    unit-token)
      serving && user_active claw "$unit" &&
        setpriv --reuid=guest --regid=guest --clear-groups grep -q GATEWAY_TOKEN "$user_unit_dir/$unit"
      ;;
    debug-port) serving && listening 9229 && [ "$(holder)" = "$(holder 9229)" ] ;;
    channels-suppressed) serving && said 'restart-loop breaker tripped' ;;
    version-mismatch) serving && grep -q 2026.9.6 "$package/package.json" ;;
    disk-low) serving && [ "$(df --output=pcent "$state" | tr -dc 0-9)" -ge 97 ] ;;
    missing-program) serving && [ ! -e "$(show ExecStart | sed 's/.*path=\([^ ]*\).*/\1/')" ] ;;
    tls) tls_answers ;;
    token)
      serving && fetch_head /v1/models | head -n 1 | grep -q ' 401 ' &&
        fetch_head /v1/models "$port" 5 "Authorization: Bearer $known_token\\r\\n" | head -n 1 | grep -q ' 200 '
      ;;
    nothing) not_listening ;;
    *) echo "plant: no such scenario: $1" >&2; exit 64 ;;
  esac
}

# Connections of clients on this host, seen from the client's end: 01 is ESTABLISHED.
client_connections() { awk '$4 == "01" && substr($3, 9) == ":4965"' /proc/net/tcp | wc -l; }

# A TLS server answers plain HTTP with nothing of its own, and a greeting with a handshake record (0x16).
tls_answers() {
  setpriv --reuid=claw --regid=claw --init-groups env -i NODE_TLS_REJECT_UNAUTHORIZED=0 NODE_NO_WARNINGS=1 "$node" -e '
    require("https").get({port: Number(process.argv[1]), path: "/healthz"}, (response) => {
      response.on("data", (data) => process.stdout.write(data));
    }).on("error", () => process.exit(1));' "$port" 2>/dev/null | grep -q '"status":"live"'
}
