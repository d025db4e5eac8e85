# shellcheck shell=sh
# Finds who holds the gateway's port before the gateway starts, says who it is, and ends it where that is
# asked for and safe. It starts from the listening socket, so clients of the port are never touched.
#
#   sh -c GUARD clawfleet-guard PORT report|end SECONDS
#
# It is rendered into one ExecStartPre= line: comment lines and indentation are left out there.

# The systemd cgroup of a process: that of v1's named hierarchy where it is used, else v2's. In a container of v2
# on a machine of v1 the first is there too, and says nothing.
cgroup_of() {
    cgroup=
    while IFS= read -r line; do
        case $line in
        *:name=systemd:/) ;;
        *:name=systemd:*) cgroup=${line#*:name=systemd:} && break ;;
        0::*) cgroup=${line#0::} ;;
        esac
    done <"/proc/$1/cgroup"
}

# When a process started, in ticks since boot: with its id it names a process for ever. It is field 22, and
# field 2 may hold blanks and parentheses.
start_of() {
    start=
    IFS= read -r line <"/proc/$1/stat" || return 1
    set -f
    # shellcheck disable=SC2086 # the fields are words
    set -- ${line##*) }
    set +f
    # A zombie has ended.
    [ "$1" != Z ] && start=${20}
}

# The inodes of the sockets that listen on the port (state 0A).
sockets() {
    hex=$(printf '%04X' "$1")
    inodes=' '
    for table in /proc/net/tcp /proc/net/tcp6; do
        while read -r _ address _ state _ _ _ _ _ inode _; do
            case $state:$address in 0A:*:"$hex") inodes="$inodes$inode " ;; esac
        done <"$table"
    done
}

# Whether a process holds one of them. What `ls` says was only a hint: an open file may have any name, and a
# line break in it.
holds() {
    for fd in /proc/"$1"/fd/*; do
        link=$(readlink "$fd") || continue
        case $link in 'socket:['*) link=${link#'socket:['} ;; *) continue ;; esac
        case $inodes in *" ${link%]} "*) return 0 ;; esac
    done
    return 1
}

# The processes that seem to hold one of them.
holders() {
    # shellcheck disable=SC2012 # one process for all of them
    ls -l /proc/[0-9]*/fd | while read -r line; do
        case $line in
        /proc/*/fd:) pid=${line#/proc/} && pid=${pid%/fd:} ;;
        *'socket:['*)
            inode=${line##*'socket:['}
            case $inodes in *" ${inode%]*} "*) echo "$pid" ;; esac
            ;;
        esac
    done | sort -un
}

# A gateway by its short name or its arguments, as OpenClaw itself tells one.
is_gateway() {
    case $comm in openclaw*) return 0 ;; esac
    case $(tr '\0' ' ' <"/proc/$1/cmdline") in *openclaw*gateway*) return 0 ;; esac
    return 1
}

# Whether no manager would start it again: it comes from a login, or from what runs commands for others.
# What another unit or a container runs is theirs, and would only come back.
is_stray() {
    case ${1##*/} in
    '' | session-*.scope | run-*.scope | init.scope) return 0 ;;
    ssh.service | sshd.service | ssh@*.service | sshd@*.service | cron.service | crond.service) return 0 ;;
    esac
    return 1
}

# Sends a signal to the very process that was judged.
send() {
    wanted=$start
    start_of "$2" && [ "$start" = "$wanted" ] && kill "-$1" "$2"
}

gone() {
    wanted=$start
    start_of "$1" && [ "$start" = "$wanted" ] && return 1
    start=$wanted
}

end() {
    send TERM "$1" || return 0
    left=$2
    while [ "$left" -gt 0 ]; do
        gone "$1" && echo "clawfleet: process $1 ended" && return 0
        sleep 1
        left=$((left - 1))
    done
    send KILL "$1" && echo "clawfleet: process $1 did not end in $2 s and was killed"
}

guard() {
    sockets "$1"
    [ "$inodes" = ' ' ] && return 0
    cgroup_of "$$"
    own=$cgroup
    for pid in $(holders); do
        start_of "$pid" || continue
        holds "$pid" || continue
        cgroup_of "$pid"
        case $cgroup/ in "$own"/*) continue ;; esac
        IFS= read -r comm <"/proc/$pid/comm" || continue
        what=stays
        if [ "$2" = end ] && is_gateway "$pid" && is_stray "$cgroup"; then what='is ended'; fi
        printf '%s\n' "clawfleet: process $pid ($comm, $cgroup) holds port $1 and $what" | LC_ALL=C tr -dc '[:print:]\n'
        [ "$what" = stays ] || end "$pid" "$3"
    done
}

guard "$1" "$2" "$3" 2>/dev/null
