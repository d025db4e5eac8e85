# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names shared between the parts: common.sh, ci/lab
# What differs between hosts besides faults: the version of the real gateway; shells, locale, missing tools;
# what sshd, sudo and doas ask for.

variant_list='sh-bash         /bin/sh is bash
sh-busybox      /bin/sh is busybox ash (bookworm)
locale          LANG=de_DE.UTF-8 for logins and for what systemd starts from now on (bookworm)
login-fish      the login shell of root and op is fish (bookworm)
login-csh       the login shell of root and op is tcsh (bookworm)
minimal         no ss, curl, wget, lsof, Python, Perl, procps
no-journal      no journalctl
lsof            lsof is there: the real gateway kills whom it finds on its port (bookworm)
ssh-startups    sshd takes 10 logins at once and 100 at most (MaxStartups 10:30:100)
ssh-few         sshd takes 3 logins at once (MaxStartups 3:100:3)
ssh-password    sshd takes passwords and asks the questions of PAM; pat and root have a password, and sudo asks pat for it
ssh-two-steps   sshd wants a key and, after it, a password
ssh-code        sshd asks for a code besides the password (bookworm)
ssh-expired     the password of pat has expired
sudo-lecture    sudo lectures every time
sudo-tty        sudo wants a terminal
sudo-code       sudo asks for a code besides the password (bookworm)
sudo-lock       three wrong passwords lock an account for sudo
sudo-other      pat may become claw, and nobody else
sudo-never      pat may become nobody
doas-free       doas lets pat become root (bookworm)
doas-asks       the same, and asks for the password (bookworm)
none            undoes them all'

change_variant() { # NAME HOST: variants add up
  local name=${1:-} host=${2:-} before
  [[ -n $name && -n $host ]] || usage_error 'variant needs a name and a host'
  awk -v name="$name" '$1 == name {found = 1} END {exit !found}' <<<"$variant_list" ||
    usage_error "no such variant: $name (ci/lab variants lists them)"
  require_host "$host"
  publish_share
  exec 8>"$run/hosts/$host/lock"
  flock 8
  host_exec "$host" /opt/clawfleet-lab/host/variant "$name"
  before=$(state_get "$host" variant)
  if [[ $name == none ]]; then
    rm -f "$run/hosts/$host/variant"
  elif [[ +$before+ != *+$name+* ]]; then
    state_set "$host" variant "${before:+$before+}$name"
  fi
}

# Takes effect with the next `plant … --real`; what runs is left alone.
change_version() { # HOST VERSION
  local host=${1:-} version=${2:-}
  [[ -n $version ]] || usage_error 'version needs a host and a version'
  require_host "$host"
  install_real "$version"
  state_set "$host" version "$version"
}
