# shellcheck shell=sh disable=SC2154
# Takes a file: written beside its place, looked at, and put there in one step.
# What it needs: head, sha256sum, chmod, mv, rm, mkdir; sync.
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
    case $clawfleet_dest in
    */*) clawfleet_dir=${clawfleet_dest%/*} ;;
    *) clawfleet_dir=. ;;
    esac
    clawfleet_dir=${clawfleet_dir:-/}
    [ -d "$clawfleet_dir" ] || clawfleet_failed "$clawfleet_dir is not a directory"
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
    clawfleet_said=$( { : >"$clawfleet_beside"; } 2>&1) || {
        clawfleet_beside=
        clawfleet_failed "cannot write to $clawfleet_dir: ${clawfleet_said##*: }"
    }
    clawfleet_go
    clawfleet_said=$( { head -c "$clawfleet_size" >"$clawfleet_beside"; } 2>&1) ||
        clawfleet_failed "$clawfleet_dest was not written: ${clawfleet_said##*: }"
    clawfleet_digest_of "$clawfleet_beside"
    [ "$clawfleet_sum" = "$clawfleet_digest" ] ||
        clawfleet_failed "what arrived is not what was sent (sha256 $clawfleet_sum)"
    clawfleet_said=$( { chmod "$clawfleet_mode" "$clawfleet_beside"; } 2>&1) ||
        clawfleet_failed "its mode cannot be set: ${clawfleet_said##*: }"
    sync "$clawfleet_beside" 2>/dev/null || sync 2>/dev/null
    clawfleet_said=$( { mv -f -- "$clawfleet_beside" "$clawfleet_dest"; } 2>&1) ||
        clawfleet_failed "it cannot take its place: ${clawfleet_said##*: }"
    clawfleet_beside=
    sync "$clawfleet_dir" 2>/dev/null || :
    clawfleet_digest_of "$clawfleet_dest"
    clawfleet_end "done" "$clawfleet_sum"
    exit 0
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
