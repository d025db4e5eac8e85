# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names shared between the parts: common.sh, ci/lab
# The root file systems of the hosts, and their keys: built once, cached, shared read-only.

known_suites='bullseye bookworm trixie forky'
base_packages=systemd,systemd-sysv,dbus,openssh-server,iproute2,procps,sudo,libpam-systemd
variant_suite=bookworm   # the suite whose root holds what every variant needs

# The name in the cache holds a digest of the whole recipe: a root built by another one is not taken for it.
# Older roots stay where they are: hosts may run on them.
rootfs_of() { # SUITE
  local parts=()
  [[ $1 != "$variant_suite" ]] || parts=(add_variant_parts add_fish add_german "$variant_suite" "$variant_packages")
  printf '%s/rootfs/%s-%s' "$cache" "$1" \
    "$({ echo "$base_packages" "${parts[*]}"; declare -f configure_rootfs "${parts[@]:0:3}"; } | sha256sum | cut -c1-10)"
}

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
  local suite=$1 target mirror building packages=$base_packages script=()
  target=$(rootfs_of "$suite")
  [[ -d $target ]] && return 0
  mirror=$(debian_mirror)
  building=$target.building.$$
  mkdir -p "$cache/rootfs"
  remove_tree "$cache"/rootfs/"$suite"-*.building.*
  [[ $suite != "$variant_suite" ]] || packages+=,$variant_packages
  # An older debootstrap has no script for the newest suites; theirs is that of sid.
  if [[ ! -e /usr/share/debootstrap/scripts/$suite ]]; then
    script=("${mirror:-http://deb.debian.org/debian}" /usr/share/debootstrap/scripts/sid)
    mirror=
  fi
  say "building the $suite root file system (once, about a minute)"
  patiently "$cache/rootfs/$suite.log" debootstrap --variant=minbase --include="$packages" \
    "$suite" "$building" ${mirror:+"$mirror"} "${script[@]}" ||
    die "debootstrap of $suite failed; its output is in $cache/rootfs/$suite.log"
  if [[ $suite == "$variant_suite" ]]; then
    patiently "$cache/rootfs/$suite-variants.log" add_variant_parts "$building" ||
      die "adding what variants need to $suite failed; the output is in $cache/rootfs/$suite-variants.log"
  fi
  configure_rootfs "$building"
  mv "$building" "$target"
}

configure_rootfs() { # DIRECTORY
  local root=$1 unit
  rm -f "$root/etc/hostname" "$root"/etc/ssh/ssh_host_*
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man}
  # German stays where it is complete: the translations belong to the locale of the variant `locale`.
  if [[ -e $root/usr/lib/locale/locale-archive ]]; then
    find "$root/usr/share/locale" -mindepth 1 -maxdepth 1 ! -name de -exec rm -rf {} +
  else
    rm -rf "$root/usr/share/locale"
  fi
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

# ---- what variants need ----

variant_packages=tcsh,busybox-static,locales,lsof,opendoas,libpam-google-authenticator

add_variant_parts() { # DIRECTORY
  add_german "$1" && add_fish "$1" || return 1
  # The real gateway asks lsof who holds its port and kills that process. The lab's hosts are such that
  # have none, until the variant `lsof` puts it in its place.
  mkdir -p "$1/usr/lib/clawfleet-lab"
  mv "$1/usr/bin/lsof" "$1/usr/lib/clawfleet-lab/lsof"
}

add_german() { # DIRECTORY
  chroot "$1" localedef -i de_DE -f UTF-8 de_DE.UTF-8 || return 1
  # The sources of 500 locales are not needed again.
  rm -rf "$1/usr/share/i18n"
}

# Not as a package: it asks for Python, man-db and groff, which only its helpers use.
add_fish() { # DIRECTORY
  local package
  mkdir -p "$1/tmp/fish"
  chroot "$1" apt-get update -qq || return 1
  chroot "$1" sh -c 'cd /tmp/fish && apt-get -o APT::Sandbox::User=root download fish fish-common libpcre2-32-0' || return 1
  for package in "$1"/tmp/fish/*.deb; do
    chroot "$1" dpkg -x "${package#"$1"}" / || return 1
  done
  chroot "$1" ldconfig || return 1
  HOME=/tmp/fish chroot "$1" fish -c true || return 1
  rm -rf "$1/tmp/fish"
}

# ---- keys ----

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
