# --- processes --------------------------------------------------------------------------------

seen_pids=' '
seen_chains=' '

# Arguments may carry tokens, in more ways than can be listed. So only what identifies a gateway is
# kept: the program, its entry point, the word `gateway` and its port.
known_arguments() {
    awk -v us="$us" '{
        count = split(substr($0, 1, 4000), word, us)
        line = substr(word[1], 1, 200)
        sub(/ .*/, "", line)
        for (i = 2; i <= count && i <= 40; i++) {
            if (word[i] == "") continue
            keep = word[i] == "gateway" || word[i] == "--port" || word[i] ~ /^--port=[0-9]+$/ || (word[i] ~ /^[0-9]+$/ && word[i - 1] == "--port")
            keep = keep || word[i] ~ /^--inspect(-brk|-port|-wait)?(=[0-9.:]+)?$/
            keep = keep || word[i] ~ /^[A-Za-z0-9_.\/@-]+(\.js|\.mjs|\/openclaw)$/
            line = line us (keep ? word[i] : "***")
        }
        print line
    }'
}

# Emits one process. The line reading loops keep a name with a newline in it from hiding fields.
process() {
    case $seen_pids in *" $1 "*) return 0 ;; esac
    seen_pids="$seen_pids$1 "
    dir=/proc/$1
    stat=
    { while IFS= read -r line; do stat="$stat$line "; done <"$dir/stat"; } 2>/dev/null
    [ -n "$stat" ] || return 1
    frame process "$1"
    # shellcheck disable=SC2086
    set -- "$1" ${stat##*) }
    parent=$3
    echo "state=$2"
    echo "ppid=$3"
    echo "start=${21}"
    {
        while IFS= read -r line; do
            case $line in
            Name:*) echo "comm=${line#Name:?}" ;;
            Uid:*)
                line=${line#Uid:?}
                echo "uid=${line%%[!0-9]*}"
                ;;
            VmRSS:*)
                line=${line% kB}
                echo "rss_kib=${line##*[!0-9]}"
                break
                ;;
            esac
        done <"$dir/status"
        cgroup=
        while IFS= read -r line; do
            case $line in
            *:name=systemd:*) cgroup=${line#*:name=systemd:} ;;
            0::*) cgroup=${cgroup:-${line#0::}} ;;
            esac
        done <"$dir/cgroup"
    } 2>/dev/null
    echo "cgroup=$cgroup"
    if [ "$1" != 1 ]; then
        printf 'argv='
        { tr '\0\n' '\037 ' <"$dir/cmdline" | known_arguments; } 2>/dev/null
    fi
    return 0
}

# Emits a process and its ancestors; a unit's main process among them means that it is managed.
# A process already emitted does not set `parent`, so its chain is always walked from here first.
ancestry() {
    next=$1
    steps=0
    while [ "${next:-0}" -gt 0 ] && [ "$steps" -lt 24 ]; do
        process "$next" || break
        case $seen_chains in *" $next "*) break ;; esac
        seen_chains="$seen_chains$next "
        next=$parent
        steps=$((steps + 1))
    done
}

processes() {
    for pid in $listener_pids; do ancestry "$pid"; done
    # Gateways that do not listen: starting, looping, or left over.
    for pid in $alike; do ancestry "$pid"; done
    return 0
}
