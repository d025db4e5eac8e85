# --- the machine and the installation ---------------------------------------------------------

# Free space where a gateway writes: its state, its log, the system's journal.
disks() {
    frame disks
    command -v df >/dev/null 2>&1 || return 0
    # shellcheck disable=SC2046,SC2086
    df -Pk / $(for dir in /tmp /var/log $state_dirs; do [ -d "$dir" ] && echo "$dir"; done) 2>/dev/null |
        awk 'NR > 1 && NF >= 6 && !seen[$6]++ { print "disk=" $2 " " $3 " " $4 " " $6 }'
}

# Modes and owners of what holds secrets, and of the directories on the way to it.
modes() {
    frame modes
    command -v stat >/dev/null 2>&1 || return 0
    set --
    IFS=$nl
    for line in $configs_seen; do
        path=${line##*|}
        add_way "$path"
        state=${path%/*}
        for name in .env credentials agents/main/agent/auth-profiles.json identity/device.json; do
            [ -e "$state/$name" ] && add_way "$state/$name"
        done
    done
    for path in $secret_files; do add_way "$path"; done
    unset IFS
    for path in $way; do set -- "$@" "$path"; done
    [ $# -gt 0 ] && stat -L -c 'mode=%a %u %g %Y %n' "$@" 2>/dev/null
}

way=' '

# A path and the directories above it. A path with a blank in it is left out.
add_way() {
    case $1 in /*) ;; *) return ;; esac
    path_left=$1
    while [ -n "$path_left" ]; do
        case $path_left in *[[:space:]]*) return ;; esac
        case $way in *" $path_left "*) ;; *) [ -e "$path_left" ] && way="$way$path_left " ;; esac
        path_left=${path_left%/*}
    done
}

# add_root TEXT: the package that an entry point in this text belongs to.
add_root() {
    root=
    case $1 in
    */dist/index.js* | */dist/entry.js*)
        root=${1%%/dist/*}
        root=${root##*[ =]}
        ;;
    */openclaw.mjs*)
        root=${1%%/openclaw.mjs*}
        root=${root##*[ =]}
        ;;
    esac
    case $root in /*) ;; *) return 0 ;; esac
    case $root in *[[:space:]]*) return 0 ;; esac
    case $roots in *" $root "*) ;; *) roots="$roots$root " ;; esac
}

# What is installed: the version and the time of the package's own description.
installed() {
    frame installed
    for pid in $listener_pids; do
        line=
        { line=$(tr '\0' ' ' <"/proc/$pid/cmdline"); } 2>/dev/null
        add_root "$line"
    done
    for root in $roots; do
        version=
        [ -r "$root/package.json" ] || continue
        package=$(user_file "$root/package.json" 65536)
        IFS=$nl
        for line in $package; do
            case $line in *'"version"'*:*)
                version=${line#*'"version"'*:*\"}
                version=${version%%\"*}
                break
                ;;
            esac
        done
        unset IFS
        changed=$(stat -L -c %Y "$root/package.json" 2>/dev/null)
        echo "installed=$root $version ${changed:-0}"
    done
}
