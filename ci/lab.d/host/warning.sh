# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034  # names set in plant, or read there
# Gateways that serve: healthy, or with a fault that only a look at files and settings shows. Part of plant.

prepare_warning() { # SCENARIO GATEWAY
  case $1 in
    healthy | unprivileged | gateway-unexpected)
      serve_as good
      if [ "$1" = unprivileged ]; then mount -o remount,hidepid=2 /proc; fi
      ;;
    model-skipped) prepare_model_skipped "$2" ;;
    noisy-journal)
      # Each start fails in ExecStartPre: systemd itself then writes "Failed to start …".
      write_unit weak
      enable_unit
      drop_in earlier-loop 'ExecStartPre=/usr/bin/test -d /srv/not-mounted' 'RestartSec=10ms'
      systemctl daemon-reload
      systemctl start "$unit" 2>/dev/null || true
      wait_for 30 noisy_enough
      systemctl stop "$unit"
      write_unit good
      rm -r "$unit_file.d"
      systemctl reset-failed
      start_and_listen
      ;;
    busy-journal)
      write_unit good
      enable_unit
      drop_in many-lines \
        "ExecStartPre=/bin/sh -c 'seq -f \"[heartbeat] tick %%.0f: nothing to do, all channels are up\" 6000'"
      start_and_listen
      rm -r "$unit_file.d"
      systemctl daemon-reload
      ;;
    no-linger)
      write_user_unit
      # A login that lasts: its session keeps the manager, and so the gateway.
      systemd-run --quiet --unit=clawfleet-login --property=User=claw --property=PAMName=login \
        /bin/sleep infinity
      wait_for 90 listening
      ;;
    daemon-reload)
      serve_as good
      sed -i 's/^TimeoutStopSec=.*/TimeoutStopSec=45/' "$unit_file"
      ;;
    bind-open)
      settings "$quick" STANDIN_OPEN=1
      config_text "$state" claw '{"gateway":{"mode":"local","bind":"lan","auth":{"mode":"none"}}}'
      serve_as good
      ;;
    secrets-readable)
      serve_as good
      wait_for 60 serving
      stat -c %a /home/claw >/run/clawfleet-home-mode
      chmod 0755 /home/claw "$state"
      chmod 0644 "$state/openclaw.json"
      ;;
    unit-token)
      stat -c %a /home/claw >/run/clawfleet-home-mode
      chmod 0755 /home/claw
      user_unit claw "$unit" "$port" old
      chmod 0755 /home/claw/.config /home/claw/.config/systemd "$user_unit_dir"
      let_claw_linger
      wait_for 90 listening
      ;;
    debug-port) prepare_debug_port "$2" ;;
    channels-suppressed) prepare_channels_suppressed "$2" ;;
    version-mismatch)
      serve_as good
      wait_for 60 serving
      # Nobody updates within seconds of a start.
      sleep 8
      # Over the shared one, for this host alone.
      sed 's/^\(.*"version": *"\)[^"]*"/\12026.9.6"/' "$package/package.json" >/run/clawfleet-package.json
      chmod 0644 /run/clawfleet-package.json
      mount --bind /run/clawfleet-package.json "$package/package.json"
      ;;
    disk-low)
      mount -t tmpfs -o size=64m,mode=0700,uid=claw,gid=claw clawfleet-small "$state"
      write_config
      serve_as good
      wait_for 60 serving
      room=$(df --output=size -k "$state" | tail -n 1)
      used=$(df --output=used -k "$state" | tail -n 1)
      head -c "$((room * 98 / 100 - used))K" /dev/zero >"$state/sessions.bak"
      own "$state/sessions.bak"
      ;;
    missing-program)
      serve_as good
      sed -i 's|^ExecStart=[^ ]*|ExecStart=/usr/local/lib/nodejs/node-v22.23.3/bin/node|' "$unit_file"
      systemctl daemon-reload
      ;;
    tls)
      # The gateway can make a certificate by itself only where there is an openssl.
      cp "$lab/tls/cert.pem" "$lab/tls/key.pem" "$state"
      config_text "$state" claw "{\"gateway\":{\"mode\":\"local\",\"bind\":\"loopback\",\"tls\":{\"enabled\":true,\
\"autoGenerate\":false,\"certPath\":\"$state/cert.pem\",\"keyPath\":\"$state/key.pem\"},\
\"auth\":{\"mode\":\"token\",\"token\":\"$token\"}}}"
      serve_as good
      ;;
    token)
      config_text "$state" claw "{\"gateway\":{\"mode\":\"local\",\"bind\":\"loopback\",\"auth\":{\"mode\":\"token\",\
\"token\":\"$known_token\"},\"http\":{\"endpoints\":{\"chatCompletions\":{\"enabled\":true}}}}}"
      serve_as good
      ;;
    *) known=no ;;
  esac
}

serve_as() { # good|weak
  write_unit "$1"
  enable_unit
  start_and_listen
}

# From 2026.9 on a stray SIGUSR1 opens Node's inspector; before, somebody has asked Node for it.
prepare_debug_port() { # GATEWAY
  case $1:$CLAWFLEET_REAL_VERSION in
    standin:*)
      settings "$quick" STANDIN_DEBUG_PORT=9229
      serve_as good
      ;;
    real:2026.9.*)
      serve_as good
      wait_for 60 serving
      kill -USR1 "$(show MainPID)"
      ;;
    *)
      write_unit good Environment=NODE_OPTIONS=--inspect=127.0.0.1:9229
      enable_unit
      start_and_listen
      ;;
  esac
}

# Real ones have the breaker from 2026.7 on: it counts starts that were not followed by a clean stop.
prepare_channels_suppressed() { # GATEWAY
  if [ "$1" = standin ]; then
    settings "$quick" "STANDIN_LOG=[gateway] restart-loop breaker tripped: 3 unclean boot(s) within 300000ms; suppressing \
channel/provider account auto-start. Inspect the stability bundle and fix the startup crash before restarting the service."
    serve_as good
    return 0
  fi
  case $CLAWFLEET_REAL_VERSION in
    2026.[1-6].*) echo "plant: $CLAWFLEET_REAL_VERSION has no restart-loop breaker" >&2; return 1 ;;
  esac
  serve_as good
  for round in 1 2 3; do
    wait_for 60 serving
    main=$(show MainPID)
    kill -KILL "$main"
    while [ "$(show MainPID)" = "$main" ] || [ "$(show MainPID)" = 0 ]; do sleep 0.2; done
    wait_for 90 listening || { echo "plant: no gateway after crash $round" >&2; return 1; }
  done
}

# The stand-in logs the fallback by itself. The real gateway needs a provider that answers, and a turn.
prepare_model_skipped() { # GATEWAY
  models='"agents":{"defaults":{"model":{"primary":"nosuch/model-1","fallbacks":["p2/m2"]}}}'
  if [ "$1" = real ]; then
    cat >/etc/systemd/system/mock-provider.service <<UNIT
[Unit]
Description=A model provider that says pong

[Service]
User=nobody
ExecStart=$node $lab/host/mock-provider.cjs 9902
UNIT
    models="$models,\"models\":{\"mode\":\"merge\",\"providers\":{\"p2\":{\"baseUrl\":\"http://127.0.0.1:9902/v1\",
\"apiKey\":\"mock\",\"api\":\"openai-completions\",\"models\":[{\"id\":\"m2\",\"name\":\"m2\"}]}}}"
  fi
  write_config local ",$models"
  serve_as good
  if [ "$1" = real ]; then
    systemctl start mock-provider.service
    wait_for 60 serving
    setpriv --reuid=claw --regid=claw --init-groups env -i HOME=/home/claw USER=claw PATH=/usr/local/bin:/usr/bin:/bin \
      timeout 90 openclaw agent --agent main --message ping --timeout 60 >/tmp/openclaw-turn.log 2>&1 </dev/null ||
      echo "plant: the turn failed, see /tmp/openclaw-turn.log" >&2
  fi
}
