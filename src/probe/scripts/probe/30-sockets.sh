# --- sockets ----------------------------------------------------------------------------------

# Processes that look like a gateway by their command line: the likely holders. The glob is expanded
# in a subshell whose own command line is only `sh -s`, so grep never finds itself.
find_alike() {
    set +f
    # shellcheck disable=SC2035
    found=$(grep -lis -e openclaw -e clawdbot -e moltbot /proc/[0-9]*/comm /proc/[0-9]*/cmdline)
    set -f
    alike=' '
    count=0
    for path in $found; do
        pid=${path#/proc/}
        pid=${pid%%/*}
        case $alike in *" $pid "*) continue ;; esac
        count=$((count + 1))
        [ "$count" -le 64 ] || break
        alike="$alike$pid "
    done
}

# Prints every listening TCP socket: ADDRESS PORT UID INODE WAITING BACKLOG. Nothing that a process
# chooses stands before the inode in what ss prints without -p. The kernel's own table is slower to
# read, and is there where ss is not; its ports and addresses are hexadecimal.
listening_sockets() {
    if [ "$USE_SS" = yes ] && command -v ss >/dev/null 2>&1 && text=$(ss -Hltne 2>/dev/null); then
        printf '%s\n' "$text" | awk '
            $1 == "LISTEN" {
                n = split($4, a, ":")
                address = substr($4, 1, length($4) - length(a[n]) - 1)
                uid = 0
                inode = ""
                for (i = 6; i <= NF && inode == ""; i++) {
                    if ($i ~ /^uid:[0-9]+$/) uid = substr($i, 5)
                    if ($i ~ /^ino:[0-9]+$/) inode = substr($i, 5)
                }
                if (inode != "") print address, a[n], uid, inode, $2, $3
            }'
        return 0
    fi
    files=
    for file in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$file" ] && files="$files $file"
    done
    [ -n "$files" ] || return 1
    # shellcheck disable=SC2086
    awk '
        function number(hex, i, n) {
            n = 0
            for (i = 1; i <= length(hex); i++) n = n * 16 + index("0123456789ABCDEF", toupper(substr(hex, i, 1))) - 1
            return n
        }
        $4 == "0A" {
            split($2, a, ":")
            split($5, q, ":")
            print a[1], number(a[2]), $8, $10, number(q[2]), "-"
        }' $files
}

sockets() {
    frame sockets
    find_alike
    if ! listening=$(listening_sockets); then
        echo "failed=/proc/net/tcp is not readable"
        return
    fi
    inodes=
    wanted= # the inodes on the ports that were asked for
    IFS=$nl
    for line in $listening; do
        unset IFS
        # shellcheck disable=SC2086
        set -- $line
        inodes="$inodes $4"
        case " $PORTS " in *" $2 "*) wanted="$wanted $4" ;; esac
    done
    unset IFS
    dirs=
    for pid in $alike; do [ -r "/proc/$pid/fd" ] && dirs="$dirs /proc/$pid/fd"; done
    held=
    # shellcheck disable=SC2086
    [ -n "$dirs" ] && held=$(holders $dirs)
    if unheld; then
        # ss names candidates quickly; its text holds names that a process chooses, so the join of
        # inode and process is always made in /proc, and over all of /proc where ss did not suffice.
        dirs=
        if [ "$USE_SS" = yes ] && command -v ss >/dev/null 2>&1; then
            filter=
            for port in $PORTS; do filter="${filter:+$filter or }sport = :$port"; done
            # shellcheck disable=SC2086
            text=$(ss -Hltnp $filter 2>/dev/null)
            while :; do
                case $text in *pid=*) ;; *) break ;; esac
                text=${text#*pid=}
                pid=${text%%[!0-9]*}
                [ -d "/proc/${pid:-x}/fd" ] && dirs="$dirs /proc/$pid/fd"
            done
        fi
        # shellcheck disable=SC2086
        [ -n "$dirs" ] && held="$held$nl$(holders $dirs)"
        if unheld; then
            set +f
            # shellcheck disable=SC2046
            held=$(holders /proc/[0-9]*/fd)
            set -f
        fi
        # A process that ended between the two readings held nothing any more.
        unheld && still=$nl$(listening_sockets)$nl
    fi
    emit_sockets
}

still=

# Whether a wanted socket has no holder yet.
unheld() {
    for inode in $wanted; do
        case "$nl$held" in *"$nl$inode "*) ;; *) return 0 ;; esac
    done
    return 1
}

emit_sockets() {
    IFS=$nl
    for line in $listening; do
        unset IFS
        # shellcheck disable=SC2086
        set -- $line
        case "$nl$held" in
        *"$nl$4 "*) ;;
        *)
            case " $wanted " in *" $4 "*) ;; *) continue ;; esac
            case $still in '' | *" $4 "*) ;; *) continue ;; esac
            ;;
        esac
        echo "socket=$line"
    done
    unset IFS
    listener_pids=
    # shellcheck disable=SC2086
    set -- $held
    while [ $# -ge 2 ]; do
        echo "holder=$1 $2"
        case " $listener_pids " in *" $2 "*) ;; *) listener_pids="$listener_pids $2" ;; esac
        shift 2
    done
}

# Prints `INODE PID` for each listening inode that a process of these fd directories holds.
# Our own directory goes with them because ls heads its lists only when it has several.
holders() {
    # shellcheck disable=SC2012 # find has no portable way to print a link's target.
    ls -l "/proc/$$/fd" "$@" 2>/dev/null | awk -v want="$inodes " '
        /^\/proc\/[0-9]+\/fd:$/ { split($0, a, "/"); pid = a[3] }
        # The whole target: a file may be called socket:[1] as well.
        { target = substr($0, index($0, " -> ") + 4) }
        target ~ /^socket:\[[0-9]+\]$/ {
            inode = substr(target, 9, length(target) - 9)
            if (index(want, " " inode " ") && !seen[inode " " pid]++) print inode, pid
        }'
}
