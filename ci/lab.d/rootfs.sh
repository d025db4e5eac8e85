# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names shared between the parts: common.sh, ci/lab
# The root file systems of the hosts, and their keys: built once, cached, shared read-only.

known_suites='bullseye bookworm trixie'

# Part of the cache's name: a root built by an older recipe is not taken for a new one.
rootfs_recipe=1

rootfs_of() { printf '%s/rootfs/%s-%s' "$cache" "$1" "$rootfs_recipe"; }

# The mirror this machine's own apt uses; empty (debootstrap's default) on other distributions.
debian_mirror() {
  local id='' codename=''
  # shellcheck source=/dev/null
  id=$(. /etc/os-release && printf '%s' "${ID:-}")
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  [[ $id == debian ]] || return 0
  # shellcheck disable=SC2016  # $(…) is apt's own format language here
  apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" '$1 == codename && $2 == "main" && !found {print $3; found = 1}'
}

build_rootfs() { # SUITE
  local suite=$1 target mirror building
  target=$(rootfs_of "$suite")
  [[ -d $target ]] && return 0
  mirror=$(debian_mirror)
  building=$target.building.$$
  mkdir -p "$cache/rootfs"
  remove_tree "$cache"/rootfs/"$suite"-*.building.*
  say "building the $suite root file system (once, about a minute)"
  patiently "$cache/rootfs/$suite.log" debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,openssh-server,iproute2,procps,sudo,libpam-systemd \
    "$suite" "$building" ${mirror:+"$mirror"} ||
    die "debootstrap of $suite failed; its output is in $cache/rootfs/$suite.log"
  configure_rootfs "$building"
  mv "$building" "$target"
}

configure_rootfs() { # DIRECTORY
  local root=$1 unit
  rm -f "$root/etc/hostname" "$root"/etc/ssh/ssh_host_*
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
  # Empty, not absent: absent means first boot, which costs a second of presets on every host.
  : >"$root/etc/machine-id"
  chroot "$root" useradd -m -u 1000 -s /bin/bash -p '*' op
  chroot "$root" useradd -m -u 1001 -s /bin/bash -p '*' guest
  chroot "$root" useradd -m -u 1501 -s /bin/bash -p '*' claw
  printf 'op ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/op"
  chmod 0440 "$root/etc/sudoers.d/op"
  printf '%s\n' 'UseDNS no' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' \
    'PrintMotd no' >"$root/etc/ssh/sshd_config.d/lab.conf"
  # The dynamic message of the day runs programs at every login.
  rm -rf "$root/etc/update-motd.d"
  mkdir -p "$root/etc/systemd/journald.conf.d"
  # The journal lives in memory here, and journald allocates whole files ahead.
  printf '[Journal]\nSystemMaxUse=64M\nSystemMaxFileSize=4M\nRuntimeMaxUse=64M\n' \
    >"$root/etc/systemd/journald.conf.d/lab.conf"
  for unit in systemd-networkd.service systemd-networkd.socket systemd-resolved.service \
    systemd-timesyncd.service systemd-firstboot.service console-getty.service getty.target \
    systemd-udevd.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer motd-news.timer e2scrub_reap.service \
    systemd-networkd-wait-online.service systemd-hwdb-update.service ldconfig.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
  done
  ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
  mkdir -p "$root/opt/clawfleet-lab" "$root/opt/clawfleet-gateways"
}

# Keys are generated once per host number and kept: RSA ones cost a second each.
host_keys_dir() { printf '%s/hostkeys/%s' "$share" "$1"; }

make_host_keys() { # HOST
  local dir building kind bits
  dir=$(host_keys_dir "$1")
  building=$dir.building.$$
  mkdir -p "$building"
  for kind in ed25519:256 ecdsa:256 rsa:2048; do
    bits=${kind#*:}
    kind=${kind%:*}
    ssh-keygen -q -N '' -C "root@$1" -t "$kind" -b "$bits" -f "$building/ssh_host_${kind}_key"
  done
  mv "$building" "$dir"
}

make_missing_host_keys() { # HOST…: as many at a time as there are processors
  local host
  for host in "$@"; do
    make_host_keys "$host" &
    while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n; done
  done
  wait
}

make_keys() { # HOST…
  local host missing=()
  mkdir -p "$share/hostkeys" "$run"
  for host in "$@"; do
    [[ -d $(host_keys_dir "$host") ]] || missing+=("$host")
  done
  if ((${#missing[@]})); then
    rm -rf "$share"/hostkeys/*.building.*
    patiently "$cache/hostkeys.log" make_missing_host_keys "${missing[@]}"
  fi
  if [[ ! -f $cache/client_ed25519 ]]; then
    ssh-keygen -q -N '' -C clawfleet-lab -t ed25519 -f "$cache/client_ed25519.new"
    mv "$cache/client_ed25519.new.pub" "$cache/client_ed25519.pub"
    mv "$cache/client_ed25519.new" "$cache/client_ed25519"
  fi
  install_file "$cache/client_ed25519.pub" "$share/authorized_keys" 0644
  install_file "$cache/client_ed25519" "$run/id_ed25519" 0600
  install_file "$cache/client_ed25519.pub" "$run/id_ed25519.pub" 0644
}

write_known_hosts() {
  local host file
  for host in $(running_hosts); do
    for file in "$(host_keys_dir "$host")"/*.pub; do
      read -r kind key _ <"$file"
      printf '%s %s %s\n' "$(state_get "$host" address)" "$kind" "$key"
    done
  done >"$run/known_hosts.new"
  chmod 0644 "$run/known_hosts.new"
  mv "$run/known_hosts.new" "$run/known_hosts"
}
