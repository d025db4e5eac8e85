# shellcheck shell=sh disable=SC3043
# What it emits: frames of `key=value` lines, each headed by `@NONCE NAME ARGS`; the last is `end`.
# What it needs: a POSIX sh, awk, grep, ls, tr, head and sed for checks of one's own; systemctl, journalctl, ss, stat and df where there are any.
# It reads, and writes nothing: no temp file, no session, no log line. Root sees everything;
# another login sees less, and every such gap is emitted as a `denied` frame or a missing pid.
# The controller sets before it: N (nonce), K (the run's digest key), UNITS, PORTS and OWNERS (words
# divided by blanks), LIMIT_S, USE_SS, and a function custom_checks that calls run_check.
set -u
set -f
LC_ALL=C
export LC_ALL
PATH="${PATH:-/usr/bin:/bin}:/usr/sbin:/usr/bin:/sbin:/bin"
us=$(printf '\037')
tab=$(printf '\t')
nl='
'

frame() { printf '\n@%s %s\n' "$N" "$*"; }

# One line of a file, or nothing: the shell's own read, so that it costs no process.
first_line() {
    REPLY=
    [ -r "$1" ] && { read -r REPLY <"$1" || [ -n "$REPLY" ]; } 2>/dev/null
}

# The beginning of a file that a user of the host may have put there. Only a regular file, and none of
# the kernel's: reading those may wait, or take away what others wait for.
user_file() { # PATH BYTES
    [ -f "$1" ] && [ -r "$1" ] || return 1
    case $(readlink -f "$1" 2>/dev/null) in /proc/* | /sys/* | /dev/* | '') return 1 ;; esac
    $limited head -c "$2" "$1" 2>/dev/null
}
limited=
command -v timeout >/dev/null 2>&1 && limited='timeout -k 1 5'

# The watchdog ends the probe's whole process group. sshd gives each command a session of its own,
# so the group holds the login shell, sudo, sh and what they started, and nothing else.
start_watchdog() {
    first_line "/proc/$$/stat" || return 0
    # shellcheck disable=SC2086
    set -- ${REPLY##*) }
    group=$3
    first_line "/proc/$group/comm" || REPLY=
    case $REPLY in
    *sh | busybox | sudo | doas) ;;
    *) group= ;; # Not ours: end only ourselves.
    esac
    (
        sleep "$LIMIT_S" &
        nap=$!
        trap 'kill "$nap"; exit' TERM
        wait "$nap"
        kill -KILL "${group:+-}${group:-$$}"
    ) >/dev/null 2>&1 </dev/null &
    watchdog=$!
}

stop_watchdog() { kill "$watchdog" 2>/dev/null; }

# Sets `digest`: what tells whether two hosts hold the same text, and says nothing else of it. The
# key is the run's own, so that a digest is of no use later or elsewhere.
digest_of() {
    digest=unknown
    command -v sha256sum >/dev/null 2>&1 || return 0
    digest=$(printf '%s\n%s' "$K" "$1" | sha256sum 2>/dev/null)
    digest=${digest%% *}
}

hello() {
    frame hello
    # The id that the probe runs with; `id` is asked only where /proc does not tell.
    me=
    {
        while read -r name _ effective _; do
            [ "$name" = Uid: ] && me=$effective && break
        done </proc/self/status
    } 2>/dev/null
    [ -n "$me" ] || me=$(id -u)
    echo "uid=$me"
    user_of "$me" && echo "user=$USER_NAME"
    first_line /proc/sys/kernel/hostname && echo "hostname=$REPLY"
    first_line /proc/sys/kernel/osrelease && echo "kernel=$REPLY"
    first_line /proc/uptime && echo "uptime=${REPLY%% *}"
    now=$(date +%s)
    echo "clock=$now"
    if [ -r /etc/os-release ]; then
        while IFS= read -r line; do
            case $line in PRETTY_NAME=*) echo "os=${line#*=}" ;; esac
        done </etc/os-release
    fi
    # hidepid hides process 1 from everybody but root and the group that it exempts.
    if [ -r /proc/1/stat ]; then echo sees_processes=yes; else echo sees_processes=no; fi
    journal=no
    set +f
    for file in /var/log/journal/*/system.journal /run/log/journal/*/system.journal; do
        [ -r "$file" ] && journal=yes
    done
    echo "journal=$journal"
    # The version stands in the name of systemd's own library: no process is needed to read it.
    for file in /usr/lib/systemd/libsystemd-shared-*.so /lib/systemd/libsystemd-shared-*.so \
        /usr/lib/*/systemd/libsystemd-shared-*.so; do
        [ -e "$file" ] || continue
        file=${file##*libsystemd-shared-}
        echo "systemd=${file%%[!0-9]*}"
        break
    done
    set -f
    if command -v systemctl >/dev/null 2>&1; then echo systemctl=yes; else echo systemctl=no; fi
}

# user_of UID / user_named NAME: sets USER_NAME USER_UID USER_GID USER_HOME.
user_of() { find_user "$1" ''; }
user_named() { find_user '' "$1"; }
find_user() {
    while IFS=: read -r USER_NAME _ USER_UID USER_GID _ USER_HOME _; do
        [ "$USER_UID" = "$1" ] && return 0
        [ -n "$2" ] && [ "$USER_NAME" = "$2" ] && return 0
    done </etc/passwd
    # Directory services: ask only for the one that the file does not have.
    entry=$(getent passwd "${1:-$2}" 2>/dev/null) || return 1
    # Split by the shell's own rules: a here-document would be a temporary file in older bash.
    IFS=:
    # shellcheck disable=SC2086
    set -- $entry
    unset IFS
    USER_NAME=${1:-} USER_UID=${3:-} USER_GID=${4:-} USER_HOME=${6:-}
    [ -n "$USER_HOME" ]
}
