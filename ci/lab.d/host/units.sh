# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034  # names set in plant, or read there
# The files of a host: configurations, unit files, drop-ins. Part of plant.

use_gateway() { # GATEWAY: sets `program` and `entry`, the command line of an installed service
  case $1 in
    standin)
      node=$lab/bin/node
      package=$lab/lib/node_modules/openclaw
      ln -sf "$lab/bin/openclaw" /usr/local/bin/openclaw
      ;;
    real)
      prefix=/opt/openclaw-$CLAWFLEET_REAL_VERSION
      node=$prefix/node/bin/node
      package=$prefix/node_modules/openclaw
      if [ ! -e "$node" ]; then
        mkdir -p "$prefix"
        mount --bind "/opt/clawfleet-gateways/$CLAWFLEET_REAL_VERSION" "$prefix"
      fi
      ln -sf "$prefix/bin/openclaw" /usr/local/bin/openclaw
      ;;
    *) echo "plant: no such gateway: $1" >&2; exit 1 ;;
  esac
  program="$node $package/dist/index.js"
  entry="$program gateway --port $port"
}

own() { chown -R claw: "$@"; }

# ---- configurations ----

token=lab-8f2e61c0d94b7a35

# config_text DIRECTORY USER TEXT
config_text() {
  mkdir -p "$1"
  chmod 0700 "$1"
  printf '%s\n' "$3" >"$1/openclaw.json"
  chmod 0600 "$1/openclaw.json"
  chown -R "$2:" "$1"
}

# write_config [MODE] [REST]: REST is more of the JSON object, with its comma in front
write_config() {
  config_text "$state" claw "{\"gateway\":{\"mode\":\"${1:-local}\",\"bind\":\"loopback\",\"auth\":{\"mode\":\"token\",\
\"token\":\"$token\"}}${2:-}}"
}

config_of() { # DIRECTORY USER: an ordinary one
  config_text "$1" "$2" "{\"gateway\":{\"mode\":\"local\",\"bind\":\"loopback\",\"auth\":{\"mode\":\"token\",\"token\":\"$token\"}}}"
}

settings() { printf '%s\n' "$@" >/run/standin.env; }

# The stand-in repeats the real waits (5, 10, 30 s) in a third of the time, so that tests need not wait.
quick='STANDIN_LOCK_WAIT_MS=1500
STANDIN_BIND_WAIT_MS=1500
STANDIN_HEALTH_WAIT_MS=6000'

# For real gateways: a file that Node loads first.
preload() { printf 'Environment=NODE_OPTIONS=--require=%s/host/%s' "$lab" "$1"; }

# ---- system units ----

# good: stops for ever at 78, limited restarts. weak: as people write it by hand, loops for ever.
write_unit() { # good|weak [MORE LINES FOR [Service]]
  case $1 in
    good)
      limits='StartLimitIntervalSec=60
StartLimitBurst=5'
      service='Restart=always
RestartSec=5
RestartPreventExitStatus=78
SuccessExitStatus=0 143
KillMode=control-group
TimeoutStopSec=30'
      ;;
    weak)
      limits='StartLimitIntervalSec=0'
      service='Restart=always
RestartSec=1'
      ;;
  esac
  cat >"$unit_file" <<UNIT
[Unit]
Description=OpenClaw Gateway
After=network-online.target
Wants=network-online.target
$limits

[Service]
User=claw
WorkingDirectory=/home/claw
ExecStart=$entry
$service
${2:-}

[Install]
WantedBy=multi-user.target
UNIT
  sed -i '/^$/N;/^\n$/D' "$unit_file"
  chmod 0644 "$unit_file"
}

enable_unit() {
  mkdir -p /etc/systemd/system/multi-user.target.wants
  ln -sf "$unit_file" "/etc/systemd/system/multi-user.target.wants/$unit"
}

drop_in() { # NAME LINE…
  mkdir -p "$unit_file.d"
  name=$1
  shift
  { echo '[Service]'; printf '%s\n' "$@"; } >"$unit_file.d/$name.conf"
}

# The environment that `openclaw gateway install` of 6.10 gives its units.
generated_environment() { # USER UNIT PORT
  cat <<UNIT
Environment=HOME=/home/$1
Environment=TMPDIR=/tmp
Environment=PATH=${node%/*}:/usr/local/bin:/usr/bin:/bin
Environment=OPENCLAW_GATEWAY_PORT=$3
Environment=OPENCLAW_SYSTEMD_UNIT=$2
Environment="OPENCLAW_WINDOWS_TASK_NAME=OpenClaw Gateway"
Environment=OPENCLAW_SERVICE_MARKER=openclaw
Environment=OPENCLAW_SERVICE_KIND=gateway
Environment=OPENCLAW_SERVICE_VERSION=2026.6.10
UNIT
}

# ---- user units ----

write_user_unit() { user_unit claw "$unit" "$port" generated; }

# generated: by `openclaw gateway install` of 6.10. old: of 3.1, with its secret. weak: by hand.
user_unit() { # USER UNIT PORT generated|old|weak [MORE LINES FOR [Service]]
  directory=/home/$1/.config/systemd/user
  mkdir -p "$directory/default.target.wants"
  case $4 in
    generated)
      head='Description=OpenClaw Gateway (v2026.6.10)
After=network-online.target
Wants=network-online.target
StartLimitBurst=5
StartLimitIntervalSec=60'
      service="Restart=always
RestartSec=5
RestartPreventExitStatus=78
TimeoutStopSec=30
TimeoutStartSec=30
SuccessExitStatus=0 143
KillMode=control-group
$(generated_environment "$1" "$2" "$3")"
      ;;
    old)
      head='Description=OpenClaw Gateway (v2026.3.1)
After=network-online.target
Wants=network-online.target'
      service="Restart=always
RestartSec=5
KillMode=process
$(generated_environment "$1" "$2" "$3" | sed 's/2026\.6\.10/2026.3.1/')
Environment=OPENCLAW_GATEWAY_TOKEN=$token"
      ;;
    weak)
      head='Description=OpenClaw Gateway
StartLimitIntervalSec=0'
      service='Restart=always
RestartSec=1'
      ;;
  esac
  cat >"$directory/$2" <<UNIT
[Unit]
$head

[Service]
ExecStart=$program gateway --port $3
$service
${5:-}

[Install]
WantedBy=default.target
UNIT
  sed -i '/^$/N;/^\n$/D' "$directory/$2"
  chmod 0644 "$directory/$2"
  ln -sf "$directory/$2" "$directory/default.target.wants/$2"
  chown -R "$1:" "/home/$1/.config"
}

# A profile is a state directory and a unit of its own; its generated unit names them.
profile_lines() { # PROFILE [STATE_DIR]
  printf 'Environment=OPENCLAW_PROFILE=%s\nEnvironment=OPENCLAW_STATE_DIR=%s\nEnvironment=OPENCLAW_CONFIG_PATH=%s\n' \
    "$1" "${2:-/home/claw/.openclaw-$1}" "/home/claw/.openclaw-$1/openclaw.json"
}

user_ctl() { # USER ARGUMENT…: past PAM, which would open a session
  user_id=$(id -u "$1")
  user_name=$1
  shift
  setpriv --reuid="$user_name" --regid="$user_name" --init-groups env -i PATH=/usr/bin:/bin HOME="/home/$user_name" \
    XDG_RUNTIME_DIR="/run/user/$user_id" systemctl --user "$@"
}

# For ten seconds after a logout logind still sees the user off, and lingering alone starts no manager.
let_linger() { # USER
  loginctl enable-linger "$1"
  systemctl start "user@$(id -u "$1").service"
}

let_claw_linger() { let_linger claw; }
