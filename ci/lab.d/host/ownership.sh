# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034  # names set in plant, or read there
# Who holds the port, and which units want it. Part of plant.

prepare_ownership() { # SCENARIO GATEWAY
  case $1 in
    orphan | orphan-root)
      write_unit weak
      enable_unit
      if [ "$1" = orphan-root ]; then
        cp -r "$state" /root/.openclaw
        chown -R root: /root/.openclaw
      fi
      systemctl daemon-reload
      ;;
    parked)
      write_unit good
      enable_unit
      systemctl daemon-reload
      ;;
    orphan-user) ;; # the unit comes after the login, which would start it
    two-profiles-one-orphan) config_of "$work_state" claw ;;
    duplicate-unit)
      write_unit weak
      enable_unit
      write_user_unit
      systemctl daemon-reload
      let_claw_linger
      wait_for 90 listening
      systemctl start "$unit"
      ;;
    duplicate-pingpong)
      # Both carry the marker of generated units, so each clears the port of the other: with lsof.
      [ -x /usr/bin/lsof ] || ln -s "$lab/bin/node" /usr/bin/lsof
      write_unit good "$(generated_environment claw "$unit" "$port")"
      enable_unit
      write_user_unit
      systemctl daemon-reload
      let_claw_linger
      wait_for 90 listening
      systemctl start "$unit"
      ;;
    duplicate-states)
      # The system unit runs as root and has root's state directory.
      cp -r "$state" /root/.openclaw
      chown -R root: /root/.openclaw
      write_unit good Environment=HOME=/root
      sed -i '/^User=/d; /^WorkingDirectory=/d' "$unit_file"
      enable_unit
      start_and_listen
      wait_for 60 serving
      write_user_unit
      let_claw_linger
      ;;
    duplicate-one-active)
      write_user_unit
      let_claw_linger
      wait_for 90 listening
      user_ctl claw stop "$unit"
      wait_for 30 not_listening
      write_unit good
      enable_unit
      start_and_listen
      ;;
    leftover-file)
      write_user_unit
      rm -r "$user_unit_dir/default.target.wants"
      write_unit good
      enable_unit
      start_and_listen
      ;;
    user-unit)
      write_user_unit
      let_claw_linger
      wait_for 90 listening
      ;;
    two-profiles | overlap)
      config_of "$work_state" claw
      write_user_unit
      if [ "$1" = overlap ]; then
        user_unit claw "$unit" "$port" generated "Environment=OPENCLAW_STATE_DIR=$state"
        user_unit claw "$work_unit" "$work_port" generated "$(profile_lines work "$state")"
      else
        user_unit claw "$work_unit" "$work_port" generated "$(profile_lines work)"
      fi
      let_claw_linger
      wait_for 90 listening
      wait_for 90 listening "$work_port"
      ;;
    two-users)
      id "$second_user" >/dev/null 2>&1 || useradd -m -u 1502 -s /bin/bash -p '*' "$second_user"
      config_of "/home/$second_user/.openclaw" "$second_user"
      write_user_unit
      user_unit "$second_user" "$unit" "$second_port" generated
      let_claw_linger
      let_linger "$second_user"
      wait_for 90 listening
      wait_for 90 listening "$second_port"
      ;;
    leftover)
      # A start script is the main process, the gateway its child: killing the script alone, with
      # KillMode=process, leaves the gateway in the unit's cgroup. The unit is then the ordinary one.
      printf '#!/bin/sh\n%s\n' "$entry" >/usr/local/bin/start-openclaw
      chmod 0755 /usr/local/bin/start-openclaw
      write_unit weak KillMode=process
      sed -i 's|^ExecStart=.*|ExecStart=/usr/local/bin/start-openclaw|' "$unit_file"
      enable_unit
      start_and_listen
      script=$(show MainPID)
      write_unit weak KillMode=process
      systemctl daemon-reload
      kill -KILL "$script"
      ;;
    respawned)
      # A child cannot leave its cgroup by itself: with the KillMode=process of old generated units
      # the copy stays in that of the unit when the first process exits.
      settings "$quick" STANDIN_RESPAWN=1
      user_unit claw "$unit" "$port" old
      let_claw_linger
      wait_for 90 serving
      kill -USR1 "$(user_show MainPID)"
      ;;
    restart-inside*) prepare_restart_inside "$1" "$2" ;;
    foreign) hold_port other.service nobody "$lab/bin/foreign-httpd $port" ;;
    foreign-unit)
      # The listener is a child of the service's main process.
      hold_port webapp.service www-data "/bin/sh -c '$lab/bin/foreign-httpd $port & wait'"
      ;;
    foreign-container)
      container=$(printf 'web-%s' "$(hostname)" | sha256sum | cut -d' ' -f1)
      systemd-run --quiet --scope --unit="docker-$container.scope" "$lab/bin/foreign-httpd" "$port" \
        </dev/null >/dev/null 2>&1 8>&- 9>&- & # 8 is the lock of the plant
      wait_for 10 listening
      write_unit good
      enable_unit
      systemctl daemon-reload
      systemctl start "$unit"
      ;;
    client)
      write_unit good
      enable_unit
      start_and_listen
      wait_for 60 serving
      # By another name, by a name like a gateway's, and one that never says a word.
      for number in 1 2; do
        systemd-run --quiet --unit="clawfleet-tui-$number" --uid=claw "$lab/bin/openclaw" tui --port "$port"
      done
      systemd-run --quiet --unit=clawfleet-silent-client --uid=guest /bin/bash -c \
        "while :; do exec 3<>/dev/tcp/127.0.0.1/$port; cat <&3 >/dev/null; sleep 1; done"
      ;;
    *) known=no ;;
  esac
}

hold_port() { # UNIT USER COMMAND: then the gateway's own unit meets a taken port
  cat >"/etc/systemd/system/$1" <<UNIT
[Unit]
Description=A web server of somebody else

[Service]
User=$2
ExecStart=$3

[Install]
WantedBy=multi-user.target
UNIT
  write_unit good
  enable_unit
  systemctl daemon-reload
  systemctl start "$1"
  wait_for 10 listening
  systemctl start "$unit"
}

# What an agent starts with its shell tool is in the cgroup of the gateway.
prepare_restart_inside() { # SCENARIO GATEWAY
  child='Environment=CLAWFLEET_NOTHING='
  if [ "$2" = real ]; then
    child=$(preload restart-inside.cjs)
  else
    settings "$quick" "STANDIN_CHILD=$lab/host/restart-inside"
  fi
  printf 'claw ALL=(root) NOPASSWD: /usr/bin/systemctl\n' >/etc/sudoers.d/claw
  chmod 0440 /etc/sudoers.d/claw
  case $1 in
    restart-inside-user)
      user_unit claw "$unit" "$port" generated "$child"
      let_claw_linger
      wait_for 90 listening
      return 0
      ;;
    restart-inside-process) write_unit weak "KillMode=process
$child" ;;
    *) write_unit good "$child" ;;
  esac
  enable_unit
  start_and_listen
}

finish() { # SCENARIO
  case $1 in
    orphan | orphan-root | parked)
      wait_for 90 listening
      systemctl start "$unit"
      ;;
    orphan-user)
      wait_for 90 listening
      user_unit claw "$unit" "$port" weak
      let_claw_linger
      user_ctl claw daemon-reload
      user_ctl claw start "$unit"
      ;;
    two-profiles-one-orphan)
      wait_for 90 listening "$work_port"
      write_user_unit
      user_unit claw "$work_unit" "$work_port" weak "$(profile_lines work)"
      let_claw_linger
      user_ctl claw daemon-reload
      user_ctl claw start "$unit" "$work_unit"
      ;;
  esac
}
