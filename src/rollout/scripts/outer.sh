# shellcheck shell=sh disable=SC2154
# Runs a script as the user who owns the unit. The controller sets before it: N (nonce), OWNER_UID (0 for a
# system unit) and BODY (the script).
set -u
set -f
trap '' HUP PIPE
PATH="${PATH:-/usr/bin:/bin}:/usr/sbin:/usr/bin:/sbin:/bin"

cannot() {
    printf '\n@%s answer failed\nwhy=%s\n\n@%s end\n' "$N" "$1" "$N"
    exit 0
}

main() {
    me=$(id -u)
    if [ "$me" = "$OWNER_UID" ]; then
        printf '%s' "$BODY" | sh -s
        exit
    fi
    [ "$me" = 0 ] || cannot "this login is neither root nor the user who owns the unit"
    command -v setpriv >/dev/null 2>&1 || cannot "setpriv (util-linux) is missing, so root cannot become the user who owns the unit"
    entry=$(getent passwd "$OWNER_UID" 2>/dev/null || grep "^[^:]*:[^:]*:$OWNER_UID:" /etc/passwd)
    IFS=:
    # shellcheck disable=SC2086
    set -- $entry
    unset IFS
    [ "${3:-}" = "$OWNER_UID" ] && [ -d "${6:-}" ] || cannot "the user with the id $OWNER_UID has no home here"
    # No session is opened: su and runuser would log one for each step.
    printf '%s' "$BODY" | setpriv --reuid "$3" --regid "$4" --init-groups \
        env -i HOME="$6" USER="$1" LOGNAME="$1" PATH="$PATH" XDG_RUNTIME_DIR="/run/user/$3" sh -s
}

main </dev/null
