# shellcheck shell=sh disable=SC2154,SC2317
# Runs a command, and ends it with all that it started when its time is over or nobody is there any more.
# Standard input carries this script, then clawfleet_size bytes for the command (none: -1), and stays open:
# its end is the word to stop, and comes by itself when the connection is gone.
# The controller sets before it: clawfleet_cookie (in the command's environment, by which it is found again),
# clawfleet_limit and clawfleet_grace (seconds), clawfleet_size, clawfleet_body (a script, if one is run), and
# the functions clawfleet_environment and clawfleet_command.

clawfleet_main() {
    clawfleet_holder=
    [ "$clawfleet_size" -lt 0 ] || clawfleet_look_up
    # No traps here: what is begun below would have them until it forgets them, and lose a signal of that time.
    exec 3<&0 </dev/null
    clawfleet_guard 3<&- >/dev/null 2>&1 &
    clawfleet_guarded=$!
    clawfleet_ready "$clawfleet_guarded"
    clawfleet_go
    # What a shell says of a child that was killed is no output of the command.
    exec 5>&2 2>/dev/null
    if [ "$clawfleet_size" -ge 0 ]; then
        clawfleet_feed 5>&- | clawfleet_fed
        clawfleet_code=$?
    else
        clawfleet_line >/dev/null 5>&- &
        clawfleet_open=$!
        (clawfleet_command) </dev/null
        clawfleet_code=$?
        kill -TERM "$clawfleet_open" 2>/dev/null
    fi
    # It goes at once, unless it has begun to end things.
    kill -TERM "$clawfleet_guarded" 2>/dev/null
    wait "$clawfleet_guarded" 2>/dev/null
    clawfleet_ended=$?
    exec 2>&5
    case $clawfleet_ended in
    1) clawfleet_end timeout "$clawfleet_code" ;;
    2) clawfleet_end stopped "$clawfleet_code" ;;
    3) clawfleet_end unended "$clawfleet_code" ;;
    *) clawfleet_end exit "$clawfleet_code" ;;
    esac
    exit "$clawfleet_code"
}

# Finds the process that holds the connection. The end of an input that a command does not read cannot be seen, and
# nor can the end of the connection behind it: then that process is watched.
clawfleet_look_up() {
    clawfleet_up=$$
    while [ "$clawfleet_up" -gt 1 ]; do
        { read -r clawfleet_stat <"/proc/$clawfleet_up/stat"; } 2>/dev/null || return 0
        clawfleet_name=${clawfleet_stat#*(}
        # shellcheck disable=SC2086
        set -- ${clawfleet_stat##*) }
        case $clawfleet_name in sshd* | dropbear* | clawfleet*)
            clawfleet_holder=$clawfleet_up
            clawfleet_since=${20}
            return 0
            ;;
        esac
        clawfleet_up=$2
    done
}

# Whether it is there still.
clawfleet_held() {
    { read -r clawfleet_stat <"/proc/$clawfleet_holder/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086
    set -- ${clawfleet_stat##*) }
    [ "${20}" = "$clawfleet_since" ]
}

# Waits until the guard hears SIGUSR1 (bit 9 of the signals that it catches): one that came before would end it.
clawfleet_ready() { # PID
    clawfleet_tries=60
    while [ "$clawfleet_tries" -gt 0 ]; do
        clawfleet_tries=$((clawfleet_tries - 1))
        while read -r clawfleet_key clawfleet_mask; do
            case $clawfleet_key$clawfleet_mask in SigCgt:*[2367abef]??) return ;; esac
        done <"/proc/$1/status" || return
        [ "$clawfleet_tries" -gt 40 ] || sleep 0.1 2>/dev/null || sleep 1
    done
}

# Waits for the end of standard input where nothing is to be read from it.
clawfleet_line() {
    while IFS= read -r _ <&3; do :; done
    kill -USR1 "$clawfleet_guarded"
}

# The same behind the input of a command. It says first who it is.
clawfleet_feed() {
    exec sh -c 'echo "$$"
        trap "" PIPE
        trap "[ -z \"\${!:-}\" ] || kill -KILL \"\$!\"; exit 0" TERM
        [ "$1" -eq 0 ] || head -c "$1" <&3
        exec >/dev/null
        cat <&3 &
        wait "$!"
        kill -USR1 "$2"' sh "$clawfleet_size" "$clawfleet_guarded"
}

clawfleet_fed() {
    IFS= read -r clawfleet_open
    (clawfleet_command)
    clawfleet_code=$?
    kill -TERM "$clawfleet_open" 2>/dev/null
    return "$clawfleet_code"
}

# Becomes the command, in a session of its own.
clawfleet_launch() {
    exec 2>&5 3<&- 5>&-
    CLAWFLEET_RUN=$clawfleet_cookie
    export CLAWFLEET_RUN
    clawfleet_environment
    if command -v setsid >/dev/null 2>&1; then
        exec setsid sh -c 'exec "$@"' sh "$@"
    fi
    exec "$@"
}

# Becomes an interpreter that reads a script from descriptor 9, so that its standard input stays its own and
# nothing is written on the host.
clawfleet_launch_script() {
    exec 8<&0
    printf '%s' "$clawfleet_body" 5>&- | {
        exec 9<&0 <&8 8<&-
        clawfleet_launch "$@"
    }
}

# Waits until the time is over (its answer is 1) or nobody is there any more (2), and then ends the command.
# Answers 3 where something of it is left.
clawfleet_guard() {
    clawfleet_why=1
    trap '[ -z "${!:-}" ] || kill -KILL "$!"; exit 0' TERM
    trap 'clawfleet_why=2; [ -z "${!:-}" ] || kill -KILL "$!"' USR1
    clawfleet_now
    clawfleet_until=$((clawfleet_now + clawfleet_limit))
    clawfleet_nap=$clawfleet_limit
    [ -z "$clawfleet_holder" ] || clawfleet_nap=1
    while [ "$clawfleet_why" -eq 1 ]; do
        sleep "$clawfleet_nap" &
        while kill -0 "$!"; do
            wait "$!"
            clawfleet_slept=$?
            [ "$clawfleet_why" -eq 1 ] && [ "$clawfleet_slept" -eq 0 ] && break
            [ "$clawfleet_why" -eq 2 ] && break 2
        done
        [ -n "$clawfleet_holder" ] || break
        clawfleet_held || clawfleet_why=2
        clawfleet_now
        # Nothing has less time than it was given: this clock has whole seconds.
        [ "$clawfleet_now" -le "$clawfleet_until" ] || break
    done
    trap '' TERM USR1
    clawfleet_end_all || exit 3
    exit "$clawfleet_why"
}

clawfleet_end_all() {
    # Without it nobody sees who belongs to whom: what is found is ended, and nobody can say that it was all.
    clawfleet_sure=yes
    command -v awk >/dev/null 2>&1 || clawfleet_sure=no
    clawfleet_find
    clawfleet_signal TERM
    clawfleet_signal CONT
    # By the clock that nobody sets: a look at all processes takes its time on a busy host.
    clawfleet_now
    clawfleet_until=$((clawfleet_now + clawfleet_grace))
    while [ "$clawfleet_now" -lt "$clawfleet_until" ]; do
        sleep 0.2 || sleep 1
        clawfleet_find
        [ -n "$clawfleet_found" ] || break
        clawfleet_now
    done
    [ -n "$clawfleet_found" ] || [ "$clawfleet_sure" = no ] || return 0
    # What is started meanwhile is found the next time.
    for _ in 1 2 3 4 5 6 7 8; do
        clawfleet_signal KILL
        sleep 0.2 || sleep 1
        clawfleet_find
        [ -n "$clawfleet_found" ] || [ "$clawfleet_sure" = no ] || return 0
    done
    return 1
}

# Seconds since the host was started.
clawfleet_now() {
    read -r clawfleet_now _ </proc/uptime
    clawfleet_now=${clawfleet_now%%.*}
}

clawfleet_signal() {
    # shellcheck disable=SC2086
    [ -z "$clawfleet_found" ] || kill -"$1" $clawfleet_found
}

# Prints the environments that hold the cookie. Not every grep reads past a NUL, and not every one has -z.
clawfleet_holders() {
    if printf 'a\0b=\0' | grep -qzF 'b='; then
        grep -lzF "CLAWFLEET_RUN=$clawfleet_cookie" /proc/[0-9]*/environ
        return
    fi
    for clawfleet_file in /proc/[0-9]*/environ; do
        tr '\0' '\n' <"$clawfleet_file" | grep -qF "CLAWFLEET_RUN=$clawfleet_cookie" && echo "$clawfleet_file"
    done
}

# Finds what the command has started and still runs: whoever has its cookie, is in a session with one that
# has, or descends from one. So neither a second fork nor a session of one's own hides it, nor a program
# that took another user's rights and cannot be looked into.
clawfleet_find() {
    if [ "$clawfleet_sure" = no ]; then
        clawfleet_found=
        for clawfleet_file in $(clawfleet_holders); do
            clawfleet_file=${clawfleet_file#/proc/}
            clawfleet_found="$clawfleet_found ${clawfleet_file%/environ}"
        done
        return
    fi
    clawfleet_found=$(
        {
            cat /proc/[0-9]*/stat
            echo '='
            clawfleet_holders
        } 2>/dev/null | awk -v self="$$" '
            !paths && /^[0-9]+ \(.*\) [A-Za-z] / {
                pid = $1
                sub(/^.*\) /, "")
                if ($1 == "Z" || $1 == "X") next
                parent[pid] = $2
                session[pid] = $4
            }
            $0 == "=" { paths = 1 }
            paths && /^\/proc\// { split($0, part, "/"); if (part[3] in parent) marked[part[3]] = 1 }
            END {
                do {
                    more = 0
                    for (pid in marked) if (session[pid] != session[self]) sessions[session[pid]] = 1
                    for (pid in parent) {
                        if (pid in marked) continue
                        # What this script itself began is in its own session.
                        if (parent[pid] == self && session[pid] != session[self]) { marked[pid] = 1; more = 1 }
                        if (session[pid] in sessions || parent[pid] in marked) { marked[pid] = 1; more = 1 }
                    }
                } while (more)
                for (pid in marked) printf "%s ", pid
            }'
    )
}

clawfleet_main
