# shellcheck shell=sh
# What the steps and the undo of a rollout share: managers of units, and names for files and processes.
# Set before it: SCOPE, BY and MANAGER_UID.

# Does something as another user, without a session of that user's.
as_user() { # UID COMMAND…
    as=$1
    shift
    if [ "$as" = "$(id -u)" ]; then
        XDG_RUNTIME_DIR=/run/user/$as "$@"
        return
    fi
    entry=$(getent passwd "$as" 2>/dev/null || grep "^[^:]*:[^:]*:$as:" /etc/passwd) || return
    rest=${entry#*:*:*:}
    setpriv --reuid "$as" --regid "${rest%%:*}" --init-groups env -i PATH="$PATH" LC_ALL=C \
        HOME="$(printf '%s' "$entry" | cut -d: -f6)" XDG_RUNTIME_DIR="/run/user/$as" "$@"
}

of_scope() { # SCOPE UID ARGS…: systemctl of some manager
    if [ "$1" = system ]; then
        shift 2
        systemctl "$@"
    else
        of=$2
        shift 2
        as_user "$of" systemctl --user "$@"
    fi
}

manager() { # ARGS: systemctl of the unit's own manager
    if [ "$SCOPE" = system ]; then systemctl "$@"; else of_scope user "$MANAGER_UID" "$@"; fi
}

# Whether that manager runs. A user's does not while nobody is logged in and nothing lingers.
managed() {
    if [ "$SCOPE" = system ]; then
        command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]
    else
        [ -e "/run/user/$MANAGER_UID/systemd/private" ]
    fi
}

# The manager that the undo waits in: the unit's own, or root's where root acts.
keeper() { if [ "$BY" = root ]; then systemctl "$@"; else manager "$@"; fi; }
keeps() { [ "$BY" = root ] || managed; }

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

# A process by its id and its start, so that another one with the same id does not pass for it.
started() { # PID
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    shift 19
    echo "$1"
}
