# shellcheck shell=sh disable=SC3043
# What it emits: frames of `key=value` lines, each headed by `@NONCE NAME ARGS`; the last is `end`.
# What it needs: a POSIX sh, awk, grep, ls, tr, cut; systemctl and journalctl where there are any.
# It reads, and writes nothing: no temp file, no session, no log line. Root sees everything;
# another login sees less, and every such gap is emitted as a `denied` frame or a missing pid.
# The controller sets before it: N (nonce), UNIT, PORT, OWNER (may be empty), LIMIT_S, USE_SS.
set -u
set -f
LC_ALL=C
export LC_ALL
PATH="${PATH:-/usr/bin:/bin}:/usr/sbin:/usr/bin:/sbin:/bin"
us=$(printf '\037')
nl='
'

frame() { printf '\n@%s %s\n' "$N" "$*"; }

# One line of a file, or nothing: the shell's own read, so that it costs no process.
first_line() {
    REPLY=
    [ -r "$1" ] && { read -r REPLY <"$1" || [ -n "$REPLY" ]; } 2>/dev/null
}

# The watchdog ends the probe's whole process group. sshd gives each command a session of its own,
# so the group holds the login shell, sudo, sh and what they started, and nothing else.
start_watchdog() {
    first_line "/proc/$$/stat" || return 0
    # shellcheck disable=SC2086
    set -- ${REPLY##*) }
    group=$3
    first_line "/proc/$group/comm" || REPLY=
    case $REPLY in
    *sh | busybox | sudo | doas) ;;
    *) group= ;; # Not ours: end only ourselves.
    esac
    (
        sleep "$LIMIT_S" &
        nap=$!
        trap 'kill "$nap"; exit' TERM
        wait "$nap"
        kill -KILL "${group:+-}${group:-$$}"
    ) >/dev/null 2>&1 </dev/null &
    watchdog=$!
}

stop_watchdog() { kill "$watchdog" 2>/dev/null; }

hello() {
    frame hello
    me=$(id -u)
    echo "uid=$me"
    user_of "$me" && echo "user=$USER_NAME"
    first_line /proc/sys/kernel/hostname && echo "hostname=$REPLY"
    first_line /proc/sys/kernel/osrelease && echo "kernel=$REPLY"
    first_line /proc/uptime && echo "uptime=${REPLY%% *}"
    date '+clock=%s'
    if [ -r /etc/os-release ]; then
        while IFS= read -r line; do
            case $line in PRETTY_NAME=*) echo "os=${line#*=}" ;; esac
        done </etc/os-release
    fi
    # hidepid hides process 1 from everybody but root and the group that it exempts.
    if [ -r /proc/1/stat ]; then echo sees_processes=yes; else echo sees_processes=no; fi
    journal=no
    set +f
    for file in /var/log/journal/*/system.journal /run/log/journal/*/system.journal; do
        [ -r "$file" ] && journal=yes
    done
    set -f
    echo "journal=$journal"
    # The version stands in the name of systemd's own library: no process is needed to read it.
    set +f
    for file in /usr/lib/systemd/libsystemd-shared-*.so /lib/systemd/libsystemd-shared-*.so \
        /usr/lib/*/systemd/libsystemd-shared-*.so; do
        [ -e "$file" ] || continue
        file=${file##*libsystemd-shared-}
        echo "systemd=${file%%[!0-9]*}"
        break
    done
    set -f
    if command -v systemctl >/dev/null 2>&1; then echo systemctl=yes; else echo systemctl=no; fi
}

# user_of UID / user_named NAME: sets USER_NAME USER_UID USER_GID USER_HOME.
user_of() { find_user "$1" ''; }
user_named() { find_user '' "$1"; }
find_user() {
    while IFS=: read -r USER_NAME _ USER_UID USER_GID _ USER_HOME _; do
        [ "$USER_UID" = "$1" ] && return 0
        [ -n "$2" ] && [ "$USER_NAME" = "$2" ] && return 0
    done </etc/passwd
    # Directory services: ask only for the one that the file does not have.
    entry=$(getent passwd "${1:-$2}" 2>/dev/null) || return 1
    # Split by the shell's own rules: a here-document would be a temporary file in older bash.
    IFS=:
    # shellcheck disable=SC2086
    set -- $entry
    unset IFS
    USER_NAME=${1:-} USER_UID=${3:-} USER_GID=${4:-} USER_HOME=${6:-}
    [ -n "$USER_HOME" ]
}

# --- sockets ----------------------------------------------------------------------------------

sockets() {
    frame sockets
    files=
    for file in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$file" ] && files="$files $file"
    done
    if [ -z "$files" ]; then
        echo "failed=/proc/net/tcp is not readable"
        return
    fi
    # shellcheck disable=SC2086
    listening=$(awk -v port="$(printf '%04X' "$PORT")" '
        $4 == "0A" { n = split($2, a, ":"); if (a[n] == port) print a[1], $8, $10 }' $files)
    [ -n "$listening" ] || return 0
    inodes=
    # shellcheck disable=SC2086
    set -- $listening
    while [ $# -ge 3 ]; do
        echo "socket=$1 $2 $3"
        inodes="$inodes $3"
        shift 3
    done
    # ss names candidates quickly; its text holds names that a process chooses, so the join of
    # inode and process is always made in /proc, and over all of /proc where ss did not suffice.
    candidates=
    if [ "$USE_SS" = yes ] && command -v ss >/dev/null 2>&1; then
        text=$(ss -Hltnp "sport = :$PORT" 2>/dev/null)
        while :; do
            case $text in *pid=*) ;; *) break ;; esac
            text=${text#*pid=}
            pid=${text%%[!0-9]*}
            [ -d "/proc/${pid:-x}/fd" ] && candidates="$candidates /proc/$pid/fd"
        done
    fi
    held=
    # shellcheck disable=SC2086
    [ -n "$candidates" ] && held=$(holders $candidates)
    # shellcheck disable=SC2086
    set -- $inodes
    for inode; do
        case "$nl$held" in *"$nl$inode "*) continue ;; esac
        set +f
        # shellcheck disable=SC2046
        held=$(holders /proc/[0-9]*/fd)
        set -f
        break
    done
    listener_pids=
    # shellcheck disable=SC2086
    set -- $held
    while [ $# -ge 2 ]; do
        echo "holder=$1 $2"
        listener_pids="$listener_pids $2"
        shift 2
    done
    return 0
}

# Prints `INODE PID` for each of the inodes that a process of these fd directories holds.
# Our own directory goes with them because ls heads its lists only when it has several.
holders() {
    # shellcheck disable=SC2012 # find has no portable way to print a link's target.
    ls -l "/proc/$$/fd" "$@" 2>/dev/null | awk -v want="$inodes " '
        /^\/proc\/[0-9]+\/fd:$/ { split($0, a, "/"); pid = a[3] }
        # The whole target: a file may be called socket:[1] as well.
        { target = substr($0, index($0, " -> ") + 4) }
        target ~ /^socket:\[[0-9]+\]$/ {
            inode = substr(target, 9, length(target) - 9)
            if (index(want, " " inode " ")) print inode, pid
        }' | sort -u
}

# --- processes --------------------------------------------------------------------------------

seen_pids=' '

# Arguments may carry tokens, in more ways than can be listed. So only what identifies a gateway is
# kept: the program, its entry point, the word `gateway` and its port.
known_arguments() {
    awk -v us="$us" '{
        count = split(substr($0, 1, 4000), word, us)
        line = substr(word[1], 1, 200)
        sub(/ .*/, "", line)
        for (i = 2; i <= count && i <= 40; i++) {
            if (word[i] == "") continue
            keep = word[i] == "gateway" || word[i] == "--port" || word[i] ~ /^--port=[0-9]+$/ || word[i] ~ /^[0-9]+$/
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
seen_chains=' '

# A process already emitted does not set `parent`, so its chain is always walked from here first.
processes() {
    for pid in $listener_pids; do ancestry "$pid"; done
    # Gateways that do not listen: starting, looping, or left over. The glob is expanded in a
    # subshell whose own command line is only `sh -s`, so grep never finds itself.
    set +f
    # shellcheck disable=SC2035
    alike=$(grep -lis -e openclaw -e clawdbot -e moltbot /proc/[0-9]*/comm /proc/[0-9]*/cmdline)
    set -f
    count=0
    for path in $alike; do
        pid=${path#/proc/}
        pid=${pid%%/*}
        count=$((count + 1))
        [ "$count" -le 64 ] && ancestry "$pid"
    done
    return 0
}

# --- units ------------------------------------------------------------------------------------

properties=Id,LoadState,ActiveState,SubState,Result,UnitFileState,MainPID,NRestarts
properties=$properties,ExecMainStatus,ExecMainCode,ControlGroup,FragmentPath,KillMode,Restart
properties=$properties,User,ExecStart,Environment

# Emits what `systemctl show` said, but never Environment: old generated units keep a token there.
show_unit() { # SCOPE USER UID TEXT
    shown="$nl$4$nl"
    environment=
    case $shown in *"${nl}Environment="*)
        rest=${shown#*"${nl}Environment="}
        environment=${rest%%"$nl"*}
        shown="${shown%%"${nl}Environment="*}$nl${rest#*"$nl"}"
        ;;
    esac
    start=
    case $shown in *"${nl}ExecStart="*)
        rest=${shown#*"${nl}ExecStart="}
        start=${rest%%"$nl"*}
        shown="${shown%%"${nl}ExecStart="*}$nl${rest#*"$nl"}"
        ;;
    esac
    frame unit "$1" "$2" "$3"
    unit_port "$start $environment"
    printf '%s\n' "$shown"
    case $shown in *"${nl}LoadState=not-found"*) return 1 ;; esac
    main=${shown#*"${nl}MainPID="}
    main=${main%%"$nl"*}
    case $main in '' | 0 | *[!0-9]*) ;; *) ancestry "$main" ;; esac
    if [ -z "$config_user" ]; then
        config_user=$2
        config_environment=$environment
        config_start=$start
        case $shown in *"${nl}User="*)
            rest=${shown#*"${nl}User="}
            config_user=${rest%%"$nl"*}
            ;;
        esac
        [ -n "$config_user" ] || config_user=root
    fi
    return 0
}

# The port that a unit's command line names, or else its environment.
unit_port() {
    case $1 in
    *--port[=\ ][0-9]*) named=${1#*--port?} ;;
    *OPENCLAW_GATEWAY_PORT=[0-9]*) named=${1#*OPENCLAW_GATEWAY_PORT=} ;;
    *) return 0 ;;
    esac
    echo "port=${named%%[!0-9]*}"
}

config_user=
config_environment=
config_start=

system_unit() {
    if ! command -v systemctl >/dev/null 2>&1; then
        frame denied system
        echo "failed=this host has no systemctl"
        return
    fi
    text=$(systemctl show --no-pager -p "$properties" -- "$UNIT" 2>&1) || {
        frame denied system
        echo "failed=${text%%"$nl"*}"
        return
    }
    show_unit system '' 0 "$text" && journal_of system 0
}

# Users who may have a unit of that name: everyone who has a running manager, lingers, or owns a
# unit file in the usual place. Only local accounts' homes are looked into.
user_units() {
    users=' '
    set +f
    for dir in /run/user/[0-9]*; do
        [ -e "$dir/systemd/private" ] && user_of "${dir##*/}" && add_user
    done
    for file in /var/lib/systemd/linger/*; do
        [ -e "$file" ] && user_named "${file##*/}" && add_user
    done
    set -f
    [ -n "$OWNER" ] && user_named "$OWNER" && add_user
    while IFS=: read -r USER_NAME _ USER_UID USER_GID _ USER_HOME _; do
        if [ "$USER_UID" -eq 0 ] || { [ "$USER_UID" -ge 1000 ] && [ "$USER_UID" -lt 60000 ]; }; then
            [ -e "$USER_HOME/.config/systemd/user/$UNIT" ] && add_user
        fi
    done 2>/dev/null </etc/passwd
    # shellcheck disable=SC2086
    set -- $users
    for entry; do
        IFS=:
        # shellcheck disable=SC2086
        user_unit $entry
        unset IFS
    done
}

add_user() {
    case $USER_HOME in *[[:space:]]*)
        frame denied user "$USER_NAME" "$USER_UID"
        echo "failed=the home directory has a blank in its name"
        return
        ;;
    esac
    entry=$USER_NAME:$USER_UID:$USER_GID:$USER_HOME
    case $users in *" $entry "*) ;; *) users="$users$entry " ;; esac
}

user_unit() { # USER UID GID HOME
    unset IFS
    runtime=/run/user/$2
    file=
    for dir in "$4/.config/systemd/user" "$4/.local/share/systemd/user" "$runtime/systemd/transient" \
        /etc/systemd/user /run/systemd/user /usr/local/lib/systemd/user /usr/lib/systemd/user; do
        # A regular file: reading a FIFO that somebody put there would never end.
        if [ -f "$dir/$UNIT" ]; then
            file=$dir/$UNIT
            break
        fi
    done
    if [ -z "$file" ] && [ "$me" != "$2" ] && [ "$me" != 0 ] && ! [ -x "$4" ]; then
        frame denied user "$1" "$2"
        echo "denied=$4 is closed to this login"
        return
    fi
    [ -n "$file" ] || return 0
    if [ -e "$runtime/systemd/private" ]; then
        if [ "$me" = "$2" ]; then
            text=$(XDG_RUNTIME_DIR=$runtime systemctl --user show --no-pager -p "$properties" -- "$UNIT" 2>&1)
        elif [ "$me" = 0 ]; then
            # setpriv opens no session: runuser, su and `systemctl -M` would log one, and the last
            # can even start a manager that is not running.
            text=$(setpriv --reuid "$2" --regid "$3" --clear-groups env "XDG_RUNTIME_DIR=$runtime" \
                systemctl --user show --no-pager -p "$properties" -- "$UNIT" 2>&1)
        else
            frame denied user "$1" "$2"
            echo "denied=the manager of user $1 answers only to that user and to root"
            return
        fi || {
            frame denied user "$1" "$2"
            echo "failed=${text%%"$nl"*}"
            return
        }
        show_unit user "$1" "$2" "$text" || return 0
        linger "$1"
        journal_of user "$2"
    else
        frame unitfile user "$1" "$2"
        echo "FragmentPath=$file"
        text=
        while IFS= read -r line; do
            case $line in ExecStart=* | Environment=*) text="$text $line" ;; esac
        done <"$file" 2>/dev/null
        unit_port "$text"
        enabled=disabled
        set +f
        for link in "$4"/.config/systemd/user/*.wants/"$UNIT" /etc/systemd/user/*.wants/"$UNIT"; do
            [ -L "$link" ] && enabled=enabled
        done
        set -f
        echo "UnitFileState=$enabled"
        linger "$1"
        [ -n "$config_user" ] || config_user=$1
    fi
}

linger() {
    if [ -e "/var/lib/systemd/linger/$1" ]; then echo linger=yes; else echo linger=no; fi
}

# --- journal ----------------------------------------------------------------------------------

# Two indexed readings: systemd's own events of a day, by message id (restart scheduled, main
# process exited, start failed, failed with result, out of memory), and the unit's lines of the last hour.
journal_of() { # SCOPE UID
    if [ "$journal" = no ] && [ "$me" != "$2" ]; then
        frame journal "$1" "$2"
        echo "denied=the journal is closed to this login"
        return
    fi
    command -v journalctl >/dev/null 2>&1 || return 0
    if [ "$1" = system ]; then
        set -- "$1" "$2" "UNIT=$UNIT" "_SYSTEMD_UNIT=$UNIT"
        told_by=_PID=1
    else
        set -- "$1" "$2" "USER_UNIT=$UNIT" "_SYSTEMD_USER_UNIT=$UNIT" "_UID=$2"
        told_by=_COMM=systemd
    fi
    frame journal "$1" "$2"
    {
        journalctl -q --no-pager -o short-unix --since=-24h -n 20000 "$3" ${5:+"$5"} "$told_by" \
            MESSAGE_ID=5eb03494b6584870a536b337290809b3 \
            MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15 \
            MESSAGE_ID=be02cf6855d2428ba40df7e9d022f03d \
            MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c \
            MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef
        echo "=lines"
        journalctl -q --no-pager -o cat --since=-1h -n 4000 "$4" ${5:+"$5"}
    } 2>/dev/null | awk -v now="$(date +%s)" '
        function note(kind) { count[kind]++; last[kind] = substr($0, 1, 300) }
        $0 == "=lines" { own = 1; next }
        !own {
            total++
            age = now - $1
            sub(/^[^:]*: /, "")
            if (/cheduled restart job/) {
                if (age <= 600) r10++
                if (age <= 3600) r60++
                r24++
            } else if (age <= 3600) {
                if (/Main process exited/) note("exited")
                if (/Failed to start|Failed with result/) failed++
                if (/oom-kill|out of memory|OOM killer/) note("oom")
            }
            next
        }
        { lines++ }
        /[Ff]ailed to start/ { failed++ }
        /already running|already listening|EADDRINUSE|ddress already in use|existing gateway is healthy|maintenance_required/ { note("taken") }
        /killing [0-9]+ stale gateway|cleared [0-9]+ stale gateway/ { note("stale") }
        /Missing config\.|Config invalid|Invalid config at|Gateway start blocked|Refusing to bind gateway|no (token|password) is configured/ { note("config") }
        /Fell back to "|Unknown model:/ { note("model") }
        /model fallback decision:/ && !/next=none/ { note("model") }
        END {
            print "restarts_10m=" r10 + 0
            print "restarts_1h=" r60 + 0
            print "restarts_24h=" r24 + 0
            print "failed_1h=" failed + 0
            print "capped=" (total >= 20000 || lines >= 4000 ? "yes" : "no")
            for (kind in count) print kind "=" count[kind] " " last[kind]
        }'
}

# --- configuration ----------------------------------------------------------------------------

# Reads only the paths named below out of openclaw.json (JSON5), so that no secret leaves the host.
config() {
    [ -n "$OWNER" ] && config_user=$OWNER
    if [ -z "$config_user" ]; then
        for pid in $listener_pids; do
            uid=$(awk '/^Uid:/ { print $2; exit }' "/proc/$pid/status" 2>/dev/null)
            user_of "${uid:-x}" && config_user=$USER_NAME
            break
        done
    fi
    [ -n "$config_user" ] && user_named "$config_user" || return 0
    path=$USER_HOME/.openclaw/openclaw.json
    case " $config_environment" in
    *' OPENCLAW_CONFIG_PATH='*)
        path=${config_environment##*OPENCLAW_CONFIG_PATH=}
        path=${path%% *}
        ;;
    *' OPENCLAW_STATE_DIR='*)
        path=${config_environment##*OPENCLAW_STATE_DIR=}
        path=${path%% *}/openclaw.json
        ;;
    *' HOME='*)
        path=${config_environment##*HOME=}
        path=${path%% *}/.openclaw/openclaw.json
        ;;
    esac
    frame config "$config_user"
    echo "path=$path"
    if [ ! -e "$path" ]; then
        if [ -x "${path%/*}" ] || [ "$me" = 0 ]; then echo absent=yes; else echo "denied=${path%/*} is closed to this login"; fi
        return
    fi
    if [ ! -f "$path" ]; then
        echo "denied=$path is not a regular file"
        return
    fi
    if [ ! -r "$path" ]; then
        echo "denied=$path is not readable for this login"
        return
    fi
    settings=$(head -c 262144 "$path" | tr '\r\t' '  ' | awk '
        # A reader of JSON5 that knows where it is and prints the leaves named in emit().
        function emit(path, value) {
            if (path == "gateway.mode") print "mode=" value
            else if (path == "gateway.bind") print "bind=" value
            else if (path == "gateway.port") print "port=" value
            else if (path == "gateway.auth.mode") print "auth=" value
            else if (path == "agents.defaults.model" || path == "agents.defaults.model.primary") print "primary=" value
            else if (path ~ /^agents\.defaults\.model\.fallbacks\.[0-9]+$/) print "fallback=" value
        }
        function entered(parent, key) {
            if (parent == "agents.defaults.models") print "listed=" key
            else if (parent == "models.providers") print "provider=" key
        }
        function value_done() { if (kind[depth] == "[") item[depth]++; key = "" }
        function name() { return kind[depth] == "[" ? item[depth] + 0 : key }
        function here(leaf) { return place[depth] != "" ? place[depth] "." leaf : leaf }
        {
            rest = $0
            while (rest != "") {
                if (comment) {
                    end = index(rest, "*/")
                    if (!end) break
                    comment = 0
                    rest = substr(rest, end + 2)
                }
                sub(/^[ ,:]+/, "", rest)
                c = substr(rest, 1, 1)
                two = substr(rest, 1, 2)
                if (c == "" || two == "//") break
                if (two == "/*") {
                    comment = 1
                    rest = substr(rest, 3)
                } else if (c == "{" || c == "[") {
                    where = depth ? here(name()) : ""
                    depth++
                    kind[depth] = c; place[depth] = where; item[depth] = 0; key = ""
                    rest = substr(rest, 2)
                } else if (c == "}" || c == "]") {
                    if (depth) depth--
                    value_done()
                    rest = substr(rest, 2)
                } else {
                    if (c == "\"" || c == "\047") {
                        value = ""
                        rest = substr(rest, 2)
                        while (match(rest, c == "\"" ? "[\"\\\\]" : "[\047\\\\]")) {
                            value = value substr(rest, 1, RSTART - 1)
                            found = substr(rest, RSTART, 1)
                            if (found != "\\") { rest = substr(rest, RSTART + 1); break }
                            value = value substr(rest, RSTART + 1, 1)
                            rest = substr(rest, RSTART + 2)
                        }
                    } else {
                        if (!match(rest, /^[^] ,:{}[]+/)) { rest = substr(rest, 2); continue }
                        value = substr(rest, 1, RLENGTH)
                        rest = substr(rest, RLENGTH + 1)
                    }
                    if (kind[depth] == "{" && key == "") {
                        key = value
                        entered(place[depth], key)
                    } else { emit(here(name()), value); value_done() }
                }
            }
        }')
    printf '%s\n' "$settings"
    known_providers
}

# The providers that this installation knows are named in the manifests beside its entry point and
# in those of added plugins. Only the providers of the configured models are looked up there.
known_providers() {
    root=
    case "$config_start" in */dist/index.js*)
        root=${config_start%%/dist/index.js*}
        root=${root##*[ =]}
        ;;
    esac
    if [ -z "$root" ]; then
        entry=${config_start#*path=}
        entry=${entry%% *}
        [ -n "$entry" ] && entry=$(readlink -f "$entry" 2>/dev/null)
        case "$entry" in */openclaw.mjs) root=${entry%/openclaw.mjs} ;; esac
    fi
    [ -n "$root" ] && [ -d "$root/dist/extensions" ] || return 0
    state=${path%/*}
    echo "catalogue=$root/dist/extensions"
    asked=' '
    IFS=$nl
    for line in $settings; do
        unset IFS
        case $line in primary=*/* | fallback=*/*) ;; *) continue ;; esac
        provider=${line#*=}
        provider=${provider%%/*}
        case $provider in '' | *[!A-Za-z0-9._-]*) continue ;; esac
        case $asked in *" $provider "*) continue ;; esac
        asked="$asked$provider "
        set +f
        if grep -qsF "\"$provider\"" "$root"/dist/extensions/*/openclaw.plugin.json \
            "$state"/extensions/*/openclaw.plugin.json "$state"/plugins/*/openclaw.plugin.json \
            "$state"/npm/node_modules/*/openclaw.plugin.json "$state"/npm/node_modules/@*/*/openclaw.plugin.json; then
            echo "known=$provider"
        fi
        set -f
    done
    unset IFS
}

# Sockets were read before units. A holder that ended in between (a crashing gateway does) must not
# be compared with the unit's next main process, so it is named.
vanished() {
    for pid in $listener_pids; do
        [ -d "/proc/$pid" ] || echo "gone=$pid"
    done
}

main() {
    start_watchdog
    listener_pids=
    hello
    sockets
    processes
    system_unit
    user_units
    frame units
    vanished
    config
    frame end
    stop_watchdog
}

# Everything above is only defined until here: a script that arrives cut off does nothing.
main </dev/null
