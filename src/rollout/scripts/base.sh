# shellcheck shell=sh disable=SC3043,SC2034
# What every script of a rollout begins with. It runs as whoever owns the unit: root for a system
# unit, the user for a user's, so that root never writes into a directory that a user controls.
# What it needs: a POSIX sh, cat, cp, mv, rm, mkdir, rmdir, ls, readlink, sha256sum, sync, systemctl.
# The controller sets before it: N (nonce), RUN, UNIT, SCOPE (system or user).
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
    if [ "$SCOPE" = system ]; then
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
    guard=clawfleet-undo-$RUN
    boot_guard=clawfleet-undo-at-boot-$RUN
}

manager() { # ARGS: systemctl of the unit's own manager
    if [ "$SCOPE" = system ]; then systemctl "$@"; else systemctl --user "$@"; fi
}

# Whether that manager runs. A user's does not while nobody is logged in and nothing lingers.
managed() {
    if [ "$SCOPE" = system ]; then
        command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]
    else
        [ -e "$XDG_RUNTIME_DIR/systemd/private" ]
    fi
}

property() { manager show -p "$1" --value -- "$UNIT" 2>/dev/null; }

digest() { # FILE: `-` for none
    if [ -L "$1" ]; then
        echo link
    elif [ -f "$1" ]; then
        sum=$(sha256sum <"$1" 2>/dev/null) || sum=unreadable
        echo "${sum%% *}"
    elif [ -e "$1" ]; then
        echo other
    else
        echo -
    fi
}

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

# A process by its id and its start, so that another one with the same id does not pass for it.
started() { # PID
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    shift 19
    echo "$1"
}
