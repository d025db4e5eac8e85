# shellcheck shell=sh disable=SC2154
# Gives a file: its size and mode first, then its bytes, then their digest.
# What it needs: ls, head, sha256sum.
# The controller sets before it: clawfleet_source, clawfleet_most (bytes).

clawfleet_failed() { # WHY
    clawfleet_end failed "$(printf '%s' "$1" | tr '\n\t' '  ')"
    exit 1
}

clawfleet_main() {
    LC_ALL=C
    export LC_ALL
    command -v sha256sum >/dev/null 2>&1 || clawfleet_failed 'the host has no sha256sum'
    [ -e "$clawfleet_source" ] || clawfleet_failed "$clawfleet_source is not there"
    [ -d "$clawfleet_source" ] &&
        clawfleet_failed "$clawfleet_source is a directory; pack it first (clawfleet run … -- tar …)"
    [ -f "$clawfleet_source" ] || clawfleet_failed "$clawfleet_source is not a file"
    [ -r "$clawfleet_source" ] || clawfleet_failed "$clawfleet_source cannot be read by this login"
    clawfleet_place=$(readlink -f -- "$clawfleet_source" 2>/dev/null)
    case $clawfleet_place in
    /proc/* | /sys/*) clawfleet_failed "$clawfleet_source is made when it is read; use: clawfleet run … --out-dir DIR -- cat $clawfleet_source" ;;
    esac
    if [ -L "$clawfleet_source" ] && [ "$(id -u)" = 0 ]; then
        # shellcheck disable=SC2046
        set -- $(ls -ldn -- "$clawfleet_source")
        [ "${3:-0}" = 0 ] || clawfleet_failed "$clawfleet_source is a link of user $3's to $clawfleet_place; name that file, or copy as that user (--user)"
    fi
    exec 4<"$clawfleet_source"
    # It may have become a link in between.
    [ "$(readlink /proc/self/fd/4)" = "$clawfleet_place" ] || [ -z "$clawfleet_place" ] ||
        clawfleet_failed "$clawfleet_source changed while it was looked at"
    # shellcheck disable=SC2046
    set -- $(ls -lnL /proc/self/fd/4 2>/dev/null)
    [ "${5:-0}" -le "$clawfleet_most" ] ||
        clawfleet_failed "$clawfleet_source has $5 bytes, more than --max-size allows ($clawfleet_most)"
    clawfleet_go "${5:-0} ${1:-}"
    # No more than was looked at: a file that grows meanwhile is given as far as it went.
    head -c "${5:-0}" <&4
    # shellcheck disable=SC2046
    set -- "$5" $(head -c "${5:-0}" </proc/self/fd/4 | sha256sum)
    clawfleet_end "done" "${2:-none}"
    exit 0
}

clawfleet_main
