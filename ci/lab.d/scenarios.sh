# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names shared between the parts: common.sh, ci/lab
# Faults, planted on a running host. What happens inside the host is host/plant's; here are the
# logins, because a process that outlives a login needs a real one.

scenario_list='healthy         the unit runs, the gateway answers
orphan          a gateway started by hand (claw) outlives its login and holds the port; the unit loops with 78
orphan-root     the same, started by root from its own state directory
orphan-user     the same as orphan; the unit that loops is a user unit of claw
parked          the same orphan; the unit stays failed (RestartPreventExitStatus=78)
duplicate-unit  a system unit and a user unit of claw claim the port
duplicate-pingpong    both are generated units: each start kills the other gateway as stale
duplicate-states      system unit of root, user unit of claw, each with its state directory: the user unit stays failed (78)
duplicate-one-active  both are enabled; the system unit runs, the user unit is stopped
leftover-file   healthy; a disabled user unit file of claw lies about
two-profiles    healthy; user units of claw for two profiles, on 18789 and 19789
two-users       healthy; user units of claw (18789) and of a second user, crab (18889)
two-profiles-one-orphan  the profile on 18789 is healthy; an orphan holds the port of the other, whose unit loops
overlap         two profiles on two ports share one state directory
leftover        an earlier gateway in the cgroup of the unit itself (KillMode=process) holds the port; the unit loops
respawned       a hot reload left a detached copy of the gateway behind; the user unit loops
restart-inside          healthy; from inside its cgroup somebody had it restarted four times, by sudo
restart-inside-process  the same, with KillMode=process
restart-inside-user     the same, a user unit, without sudo
down            the unit is enabled and stopped, nobody listens
stopped         the unit is disabled and stopped, nobody listens
masked          the unit is masked, nobody listens
maintenance     down, on a host that the inventory has in maintenance
gateway-unexpected  healthy, on a host that the inventory gives no gateway
crash           the gateway dies with 1 some seconds after each start
crash-segv      the same, by SIGSEGV
crash-abort     the same, by SIGABRT (out of heap)
crash-137       the same, with exit status 137
crash-oom       the same, killed by the kernel at a memory limit
foreign         a web server that is not a gateway holds the port
foreign-unit    the same; it is a child process of webapp.service
foreign-container  the same; it is in the cgroup of a container
client          healthy; three clients on the host itself hold connections to the port
hung            the port is open, nothing answers
hung-accepts    connections are accepted, nothing is answered
hung-500        every answer is 500
hung-slow       every answer takes 20 s
starting        the unit is active and does not listen for its first minute
config-error    gateway.mode=remote: the unit fails with 78, nobody listens
config-json     the configuration is not JSON5: the unit fails with 78
config-key      the configuration has an unknown key: the unit fails with 1, five times
config-noauth   bind=lan with auth.mode=none: the unit fails with 78
config-missing  there is no configuration: the unit fails with 78
config-broken-running  healthy; the configuration was broken after the start
model-skipped   the primary model cannot be resolved, the log says what it fell back to
noisy-journal   healthy; an earlier loop left 40 "Failed to start" lines
busy-journal    healthy; thousands of harmless lines
unprivileged    healthy; /proc is mounted with hidepid=2 and the inventory logs in as guest
user-unit       healthy; only a user unit of claw, with lingering
no-linger       healthy; a user unit of claw without lingering, kept alive by a login
daemon-reload   healthy; the unit file was changed after it was loaded
missing-program healthy; the changed unit starts a Node that does not exist
version-mismatch  healthy; a newer version was installed under the running gateway
bind-open       the gateway listens on every address and asks for no secret
secrets-readable  healthy; everybody may read openclaw.json
unit-token      healthy; an old generated user unit that everybody may read has the token in it
debug-port      healthy; the gateway listens on 127.0.0.1:9229 too
channels-suppressed  healthy; the log says that the restart-loop breaker holds the channels back
disk-low        healthy; the state directory is on a file system that is 98 % full
tls             healthy; the port speaks TLS (real gateway only)
token           healthy; /v1/models asks for the token
nothing         no unit, no gateway'

# What a line of `ci/lab inventory` says beyond the address: a role, and labels.
inventory_extra() { # SCENARIO
  case $1 in
    gateway-unexpected) printf 'role: none, ' ;;
  esac
}

inventory_labels() { # SCENARIO: more labels, each with a comma behind it
  case $1 in
    maintenance) printf 'maintenance: "true", ' ;;
  esac
}

# Faults that only one of the two gateways can have are planted with that one.
gateway_for() { # SCENARIO GATEWAY
  case $1 in
    respawned | bind-open | crash-oom | hung-accepts | hung-500 | hung-slow) echo standin ;;
    tls) echo real ;;
    *) echo "$2" ;;
  esac
}

known_scenario() { awk -v name="$1" '$1 == name {found = 1} END {exit !found}' <<<"$scenario_list"; }

# A certificate for the scenario `tls`: hosts have no openssl to make one.
make_certificate() {
  local building=$share/tls.building.$$
  [[ -d $share/tls ]] && return 0
  need_tools openssl openssl
  mkdir -p "$building"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$building/key.pem" -out "$building/cert.pem" 2>/dev/null ||
    die 'openssl made no certificate for the scenario tls'
  mv -T "$building" "$share/tls" 2>/dev/null || rm -rf "$building"
}

plant_scenario() { # SCENARIO HOST GATEWAY(or empty)
  local scenario=$1 host=$2 gateway=$3 login command
  known_scenario "$scenario" || usage_error "no such scenario: $scenario (ci/lab scenarios lists them)"
  require_host "$host"
  [[ -n $gateway ]] || gateway=$(state_get "$host" gateway)
  gateway=$(gateway_for "$scenario" "$gateway")
  if [[ $gateway == real && ! -d $gateways/$(state_get "$host" version) ]]; then
    install_real "$(state_get "$host" version)"
  fi
  publish_share
  [[ $scenario != tls ]] || make_certificate
  # Two plants on one host would reset each other's half.
  exec 8>"$run/hosts/$host/lock"
  flock 8
  state_set "$host" scenario "$scenario"
  state_set "$host" planted-gateway "$gateway"
  host_exec "$host" /opt/clawfleet-lab/host/plant prepare "$scenario" "$gateway"
  case $scenario in
    orphan | parked | orphan-user) login=claw command='openclaw gateway --port 18789' ;;
    orphan-root) login=root command='openclaw gateway --port 18789' ;;
    two-profiles-one-orphan) login=claw command='openclaw --profile work gateway --port 19789' ;;
    *) return 0 ;;
  esac
  ssh_to "$login" "$host" "nohup $command >gateway.log 2>&1 </dev/null &" </dev/null
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
