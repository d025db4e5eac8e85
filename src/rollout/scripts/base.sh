# shellcheck shell=sh disable=SC3043,SC2034
# What every script of a rollout begins with. It runs as whoever owns the unit: root for a system
# unit, the user for a user's, so that root never writes into a directory that a user controls.
# What it needs: a POSIX sh, cat, cp, mv, rm, mkdir, rmdir, ls, readlink, sha256sum, sync, systemctl.
# The controller sets before it: N (nonce), RUN, UNIT, SCOPE (system or user), BY (owner, or root where a user's
# unit needs something that is root's to do) and MANAGER_UID (whose manager the unit's is).
set -u
set -f
umask 077
LC_ALL=C
export LC_ALL
# The connection may go; what was begun is finished.
trap '' HUP PIPE
PATH="${PATH:-/usr/bin:/bin}:/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEMD_PAGER=
SYSTEMD_COLORS=0
export SYSTEMD_PAGER SYSTEMD_COLORS
tab=$(printf '\t')

frame() { printf '\n@%s %s\n' "$N" "$*"; }

# answer KIND [WHY]: the last thing that a step says.
answer() {
    frame answer "$1"
    [ -z "${2:-}" ] || printf 'why=%s\n' "$(one_line "$2")"
    frame end
    exit 0
}

one_line() { printf '%s' "$1" | tr '\n\t' '  ' | cut -c1-600; }

# Where units are written, and where runs are kept.
places() {
    if [ "$SCOPE" = system ] || [ "$BY" = root ]; then
        units=/etc/systemd/system
        base=/var/lib/clawfleet
        boot_target=multi-user.target
    else
        uid=$(id -u)
        [ -n "${HOME:-}" ] || HOME=$(getent passwd "$uid" | cut -d: -f6)
        XDG_RUNTIME_DIR=/run/user/$uid
        export HOME XDG_RUNTIME_DIR
        units=$HOME/.config/systemd/user
        base=$HOME/.local/state/clawfleet
        boot_target=default.target
    fi
    run=$base/runs/$RUN
    dir=$run/$UNIT
    # Root may have the system's unit and a user's of the same name in one run.
    if [ "$SCOPE" = user ] && [ "$BY" = root ]; then dir=$run/$UNIT.of-$MANAGER_UID; fi
    guard=clawfleet-undo-$RUN
    boot_guard=clawfleet-undo-at-boot-$RUN
}

property() { manager show -p "$1" --value -- "$UNIT" 2>/dev/null; }

# What stands between a unit's directory and its files must be a directory, and no link that leads
# elsewhere. Says why not.
sound_place() { # PATH
    parent=${1%/*}
    case $parent in "$units" | "$units"/*) ;; *)
        echo "$1 is not below $units"
        return 1
        ;;
    esac
    for place in "$units" "$parent"; do
        if [ -L "$place" ]; then
            echo "$place is a link to $(readlink -f "$place" 2>/dev/null || echo somewhere)"
            return 1
        fi
        if [ -e "$place" ] && ! [ -d "$place" ]; then
            echo "$place is not a directory"
            return 1
        fi
        if [ -e "$place" ] && ! [ -O "$place" ]; then
            echo "$place belongs to another user"
            return 1
        fi
    done
    if [ -L "$1" ]; then
        echo "$1 is a link to $(readlink "$1")"
        return 1
    fi
    if [ -e "$1" ] && ! [ -f "$1" ]; then
        echo "$1 is not a file"
        return 1
    fi
}

# The systemd cgroup of a process: that of v1's named hierarchy where it is used, else v2's.
cgroup_of() { # PID
    cgroup=
    while IFS= read -r line; do
        case $line in
        *:name=systemd:/) ;;
        *:name=systemd:*) cgroup=${line#*:name=systemd:} && break ;;
        0::*) cgroup=${line#0::} ;;
        esac
    done 2>/dev/null <"/proc/$1/cgroup"
    printf '%s' "$cgroup"
}
