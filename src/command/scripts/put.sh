# shellcheck shell=sh disable=SC2154
# Takes a file: written beside its place, looked at, and put there in one step.
# What it needs: head, sha256sum, chmod, mv, rm, ls; sync. What is written is opened once, by a name that was not there,
# and written, looked at and given its rights through that descriptor: a name in a directory of another user's may
# be anything a moment later.
# The controller sets before it: clawfleet_dest, clawfleet_name (for a directory), clawfleet_size,
# clawfleet_digest, clawfleet_mode, clawfleet_new (the first name that the file has), clawfleet_into (yes: the
# place is a directory).

clawfleet_failed() { # WHY
    [ -z "$clawfleet_beside" ] || rm -f -- "$clawfleet_beside"
    clawfleet_end failed "$(printf '%s' "$1" | tr '\n\t' '  ')"
    exit 1
}

clawfleet_digest_of() { # FILE
    clawfleet_sum=$(sha256sum <"$1") || clawfleet_sum=none
    clawfleet_sum=${clawfleet_sum%% *}
}

clawfleet_main() {
    clawfleet_beside=
    trap 'clawfleet_failed "the connection ended"' HUP INT TERM PIPE
    LC_ALL=C
    export LC_ALL
    umask 077
    command -v sha256sum >/dev/null 2>&1 || clawfleet_failed 'the host has no sha256sum'
    case $clawfleet_dest in */) clawfleet_into=yes ;; esac
    [ -d "$clawfleet_dest" ] && clawfleet_into=yes
    if [ "$clawfleet_into" = yes ]; then
        [ -d "$clawfleet_dest" ] || clawfleet_failed "$clawfleet_dest is not a directory"
        clawfleet_dest=${clawfleet_dest%/}/$clawfleet_name
    fi
    [ -d "$clawfleet_dest" ] && clawfleet_failed "$clawfleet_dest is a directory"
    if [ -e "$clawfleet_dest" ] && ! [ -f "$clawfleet_dest" ] && ! [ -L "$clawfleet_dest" ]; then
        clawfleet_failed "$clawfleet_dest is not a file"
    fi
    case $clawfleet_dest in
    */*) clawfleet_dir=${clawfleet_dest%/*} ;;
    *) clawfleet_dir=. ;;
    esac
    clawfleet_dir=${clawfleet_dir:-/}
    [ -d "$clawfleet_dir" ] || clawfleet_failed "$clawfleet_dir is not a directory"
    [ "$(id -u)" != 0 ] || clawfleet_of_root "$clawfleet_dir"
    if [ -f "$clawfleet_dest" ] && [ -r "$clawfleet_dest" ] && ! [ -L "$clawfleet_dest" ]; then
        clawfleet_digest_of "$clawfleet_dest"
        # shellcheck disable=SC2046
        set -- $(ls -ln -- "$clawfleet_dest" 2>/dev/null)
        if [ "$clawfleet_sum" = "$clawfleet_digest" ] && [ "$(clawfleet_octal "${1:-}")" = "$clawfleet_mode" ]; then
            clawfleet_end same "$clawfleet_sum"
            exit 0
        fi
    fi
    clawfleet_beside=${clawfleet_dir%/}/$clawfleet_new
    set -C
    clawfleet_said=$( { : >"$clawfleet_beside"; } 2>&1) || {
        clawfleet_beside=
        clawfleet_failed "cannot write to $clawfleet_dir: ${clawfleet_said##*: }"
    }
    rm -f -- "$clawfleet_beside"
    exec 4>"$clawfleet_beside"
    clawfleet_go
    clawfleet_said=$( { head -c "$clawfleet_size" >&4; } 2>&1) ||
        clawfleet_failed "$clawfleet_dest was not written: ${clawfleet_said##*: }"
    clawfleet_digest_of /proc/self/fd/4
    [ "$clawfleet_sum" = "$clawfleet_digest" ] ||
        clawfleet_failed "what arrived is not what was sent (sha256 $clawfleet_sum)"
    clawfleet_said=$( { chmod "$clawfleet_mode" /proc/self/fd/4; } 2>&1) ||
        clawfleet_failed "its mode cannot be set: ${clawfleet_said##*: }"
    sync /proc/self/fd/4 2>/dev/null || sync 2>/dev/null
    exec 4>&-
    clawfleet_said=$( { mv -f -- "$clawfleet_beside" "$clawfleet_dest"; } 2>&1) ||
        clawfleet_failed "it cannot take its place: ${clawfleet_said##*: }"
    clawfleet_beside=
    sync "$clawfleet_dir" 2>/dev/null || :
    clawfleet_digest_of "$clawfleet_dest"
    clawfleet_end "done" "$clawfleet_sum"
    exit 0
}

# Root writes only where nobody else can lead it: whoever owns a directory or a link on the way can let it end anywhere.
clawfleet_of_root() { # DIRECTORY
    for clawfleet_place in "$1" "$(cd -P -- "$1" && pwd)"; do
        case $clawfleet_place in /*) ;; *) clawfleet_place=$PWD/$clawfleet_place ;; esac
        while :; do
            # shellcheck disable=SC2046
            set -- $(ls -ldn -- "${clawfleet_place:-/}" 2>/dev/null)
            [ "${3:-0}" = 0 ] || clawfleet_failed "${clawfleet_place:-/} belongs to user $3, who could lead root elsewhere; copy as that user (--user)"
            clawfleet_open=no
            case ${1:-} in
            # Whoever may write in a directory with that bit still renames only what is their own.
            d????????[tT]*) ;;
            d???????w*) clawfleet_open=yes ;;
            d????w*) [ "${4:-0}" = 0 ] || clawfleet_open=yes ;;
            esac
            [ "$clawfleet_open" = no ] ||
                clawfleet_failed "others may write in ${clawfleet_place:-/}, and could lead root elsewhere"
            case $clawfleet_place in '' | /) break ;; esac
            clawfleet_place=${clawfleet_place%/*}
        done
    done
}

# -rwxr-x--- as 750.
clawfleet_octal() {
    clawfleet_bits=${1#?}
    for _ in 1 2 3; do
        clawfleet_three=$(printf '%.3s' "$clawfleet_bits")
        clawfleet_bits=${clawfleet_bits#???}
        clawfleet_digit=0
        case $clawfleet_three in r??) clawfleet_digit=4 ;; esac
        case $clawfleet_three in ?w?) clawfleet_digit=$((clawfleet_digit + 2)) ;; esac
        case $clawfleet_three in ??x) clawfleet_digit=$((clawfleet_digit + 1)) ;; ??-) ;; *) clawfleet_digit=s ;; esac
        printf %s "$clawfleet_digit"
    done
}

clawfleet_main
