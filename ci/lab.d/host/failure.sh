# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034  # names set in plant, or read there
# Gateways that do not run, do not answer, or are not meant to. Part of plant.

prepare_failure() { # SCENARIO GATEWAY
  case $1 in
    down | maintenance)
      write_unit good
      enable_unit
      start_and_listen
      systemctl stop "$unit"
      ;;
    stopped)
      write_unit good
      start_and_listen
      systemctl stop "$unit"
      ;;
    masked)
      ln -s /dev/null "$unit_file"
      systemctl daemon-reload
      ;;
    crash) crash_loop "$2" 1 ;;
    crash-segv) crash_loop "$2" SEGV ;;
    crash-abort) crash_loop "$2" ABRT ;;
    crash-137) crash_loop "$2" 137 ;;
    crash-oom) out_of_memory ;;
    hung)
      [ "$2" = real ] || settings "$quick" STANDIN_HANG=1
      write_unit good
      enable_unit
      start_and_listen
      if [ "$2" = real ]; then
        wait_for 60 serving
        kill -STOP "$(show MainPID)"
      fi
      ;;
    hung-accepts | hung-500 | hung-slow)
      fault=${1#hung-}
      if [ "$fault" = accepts ]; then fault=silent; fi
      settings "$quick" "STANDIN_FAULT=$fault"
      write_unit good
      enable_unit
      start_and_listen
      ;;
    starting)
      if [ "$2" = real ]; then
        write_unit good "$(preload start-late.cjs)"
      else
        write_unit good
        settings "$quick" STANDIN_START_DELAY=60
      fi
      enable_unit
      systemctl daemon-reload
      systemctl start "$unit"
      ;;
    config-error)
      write_config remote
      start_in_vain
      ;;
    config-json)
      config_text "$state" claw '{"gateway": {"mode": "local", "bind": '
      start_in_vain
      ;;
    config-key)
      config_text "$state" claw "{\"gateway\":{\"mode\":\"local\",\"portt\":18789,\"bind\":\"loopback\",\"auth\":{\"mode\":\"token\",\
\"token\":\"$token\"}}}"
      start_in_vain
      ;;
    config-noauth)
      config_text "$state" claw '{"gateway":{"mode":"local","bind":"lan","auth":{"mode":"none"}}}'
      start_in_vain
      ;;
    config-missing)
      rm "$state/openclaw.json"
      start_in_vain
      ;;
    config-broken-running)
      write_unit good
      enable_unit
      start_and_listen
      wait_for 60 serving
      # The real one takes a moment after it has begun to serve until it watches the file.
      sleep 3
      printf '{"gateway": {"mode": "local",\n' >"$state/openclaw.json"
      ;;
    nothing) rm -rf "$state" /usr/local/bin/openclaw /run/standin.env ;;
    *) known=no ;;
  esac
}

start_in_vain() {
  write_unit good
  enable_unit
  systemctl daemon-reload
  systemctl start "$unit"
}

crash_loop() { # GATEWAY HOW
  if [ "$1" = real ]; then
    write_unit weak "$(preload crash-later.cjs)
Environment=CLAWFLEET_CRASH_WITH=$2"
  else
    write_unit weak
    settings "$quick" STANDIN_CRASH_AFTER=3
    [ "$2" = 1 ] || settings "$quick" STANDIN_CRASH_AFTER=3 "STANDIN_CRASH_WITH=$2"
  fi
  sed -i 's/^RestartSec=.*/RestartSec=2/' "$unit_file"
  enable_unit
  start_and_listen
}

# The kernel kills it at a limit. Where the memory controller is v1, which systemd does not manage in a
# container, the limit is on a cgroup made here, and the unit's result is `signal` instead of `oom-kill`.
out_of_memory() {
  settings "$quick" STANDIN_CRASH_AFTER=3 STANDIN_CRASH_WITH=oom
  if grep -qsw memory /sys/fs/cgroup/cgroup.controllers; then
    write_unit weak MemoryMax=32M
  elif [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
    limited=/sys/fs/cgroup/memory/clawfleet-$(hostname)
    mount -o remount,bind,rw /sys/fs/cgroup/memory
    mkdir -p "$limited"
    echo $((32 * 1024 * 1024)) >"$limited/memory.limit_in_bytes"
    chown claw "$limited/cgroup.procs" "$limited/tasks"
    write_unit weak
    sed -i "s|^ExecStart=.*|ExecStart=/bin/sh -c 'echo 0 >$limited/cgroup.procs; exec $entry'|" "$unit_file"
  else
    echo 'plant: this machine has no memory cgroup a host could use' >&2
    return 1
  fi
  sed -i 's/^RestartSec=.*/RestartSec=2/' "$unit_file"
  enable_unit
  start_and_listen
}
