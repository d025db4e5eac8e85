# shellcheck shell=sh
# shellcheck disable=SC2154  # names set in plant
# A host without any gateway, and an empty journal. Part of plant.

gateway_processes() { find /proc -maxdepth 2 -name exe -lname '/opt/*' 2>/dev/null | cut -d/ -f3; }

kill_gateways() {
  for pid in $(gateway_processes); do kill -KILL "$pid" 2>/dev/null || true; done
}

planted_units="openclaw-gateway*.service other.service webapp.service mock-provider.service clawfleet* docker-*.scope"

reset_host() {
  mount -o remount,hidepid=0 /proc
  for user in claw "$second_user"; do
    if [ -e "/var/lib/systemd/linger/$user" ]; then loginctl disable-linger "$user"; fi
  done
  set -f # the patterns are systemd's
  # Killed first: a stopped or hung process would make `stop` wait for its time-out.
  # shellcheck disable=SC2086  # several words
  systemctl kill --signal=KILL $planted_units 2>/dev/null || true
  # A unit that is not running is not matched by a pattern.
  # shellcheck disable=SC2086
  systemctl stop "$unit" $planted_units 2>/dev/null || true
  set +f
  systemctl kill --signal=KILL user@1501.service user@1502.service 2>/dev/null || true
  kill_gateways
  systemctl stop user@1501.service user@1502.service 2>/dev/null || true
  for user in claw "$second_user"; do loginctl terminate-user "$user" 2>/dev/null || true; done
  undo_mounts
  for directory in /etc/systemd/system /run/systemd/system /etc/systemd/system.control /run/systemd/system.control \
    /run/systemd/transient; do
    rm -rf "${directory:?}"/openclaw-gateway*.service "$directory"/openclaw-gateway*.service.d \
      "$directory"/*.wants/openclaw-gateway*.service "$directory"/*.wants/webapp.service \
      "$directory/other.service" "$directory/webapp.service" "$directory/mock-provider.service"
  done
  rm -rf /home/claw/.config /home/claw/.openclaw* "/home/$second_user/.config" "/home/$second_user/.openclaw" \
    /root/.openclaw* /home/claw/gateway.log /root/gateway.log /run/standin*.env \
    /tmp/openclaw* /usr/local/bin/openclaw /usr/local/bin/start-openclaw /run/clawfleet-package.json /etc/sudoers.d/claw
  if [ -L /usr/bin/lsof ]; then rm -f /usr/bin/lsof; fi
  if [ -e /run/clawfleet-home-mode ]; then
    chmod "$(cat /run/clawfleet-home-mode)" /home/claw
    rm -f /run/clawfleet-home-mode
  fi
  systemctl daemon-reload
  systemctl reset-failed
  wait_for 10 no_port_taken
  journalctl --sync
  journalctl -q --rotate
  journalctl -q --vacuum-size=1
}

undo_mounts() {
  awk -v state="$state" '$2 == state || $2 ~ "/openclaw/package.json$" {print $2}' /proc/self/mounts |
    while read -r mounted; do umount -l "$mounted" 2>/dev/null || true; done # a mount seen at two places goes from both
  limited=/sys/fs/cgroup/memory/clawfleet-$(hostname)
  if [ -d "$limited" ]; then
    mount -o remount,bind,rw /sys/fs/cgroup/memory
    rmdir "$limited" || true
    mount -o remount,bind,ro /sys/fs/cgroup/memory || true
  fi
}
