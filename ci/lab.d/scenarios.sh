# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names shared between the parts: common.sh, ci/lab
# Faults, planted on a running host. What happens inside the host is host/plant's; here are the
# logins, because a process that outlives a login needs a real one.

scenario_list='healthy         the unit runs, the gateway answers
orphan          a gateway started by hand (claw) outlives its login and holds the port; the unit loops with 78
orphan-root     the same, started by root from its own state directory
parked          the same orphan; the unit stays failed (RestartPreventExitStatus=78)
duplicate-unit  a system unit and a user unit of claw claim the port
leftover        an earlier gateway in the cgroup of the unit itself (KillMode=process) holds the port; the unit loops
down            the unit is enabled and stopped, nobody listens
crash           the gateway dies with 1 some seconds after each start
foreign         a web server that is not a gateway holds the port
hung            the port is open, nothing answers
config-error    gateway.mode=remote: the unit fails with 78, nobody listens
model-skipped   the primary model cannot be resolved, the log says what it fell back to
noisy-journal   healthy; an earlier loop left 40 "Failed to start" lines
busy-journal    healthy; thousands of harmless lines
unprivileged    healthy; /proc is mounted with hidepid=2 and the inventory logs in as guest
user-unit       healthy; only a user unit of claw, with lingering
starting        the unit is active and does not listen for its first minute
nothing         no unit, no gateway'

known_scenario() { awk -v name="$1" '$1 == name {found = 1} END {exit !found}' <<<"$scenario_list"; }

plant_scenario() { # SCENARIO HOST GATEWAY(or empty)
  local scenario=$1 host=$2 gateway=$3 login
  known_scenario "$scenario" || usage_error "no such scenario: $scenario (ci/lab scenarios lists them)"
  require_host "$host"
  [[ -n $gateway ]] || gateway=$(state_get "$host" gateway)
  if [[ $gateway == real && ! -d $gateways/$(state_get "$host" version) ]]; then
    install_real "$(state_get "$host" version)"
  fi
  publish_share
  # Two plants on one host would reset each other's half.
  exec 8>"$run/hosts/$host/lock"
  flock 8
  state_set "$host" scenario "$scenario"
  state_set "$host" planted-gateway "$gateway"
  host_exec "$host" /opt/clawfleet-lab/host/plant prepare "$scenario" "$gateway"
  case $scenario in
    orphan | parked) login=claw ;;
    orphan-root) login=root ;;
    *) return 0 ;;
  esac
  ssh_to "$login" "$host" 'nohup openclaw gateway --port 18789 >gateway.log 2>&1 </dev/null &' </dev/null
  host_exec "$host" /opt/clawfleet-lab/host/plant finish "$scenario" "$gateway"
}

wait_visible() { # HOST SECONDS
  local host=$1 scenario gateway deadline
  require_host "$host"
  scenario=$(state_get "$host" scenario)
  gateway=$(state_get "$host" planted-gateway)
  deadline=$((SECONDS + $2))
  until host_exec "$host" /opt/clawfleet-lab/host/plant visible "$scenario" "$gateway" 2>/dev/null; do
    ((SECONDS < deadline)) || die "$host does not show $scenario after $2 s"
    sleep 0.3
  done
}
