# shellcheck shell=sh disable=SC2154
# What a fix does beside files. Each function is called twice by the steps: in the preparation ($mode is look), to
# compare what the plan knows and to write down what an undo needs, and then to do it.

# What an undo needs is written down in the preparation: by then it is known, and the disk has room.
inverse() { # FIELDS…
    line=$number
    for field in "$@"; do line=$line$tab${field:--}; done
    printf '%s\n' "$line" >>"$dir/inverse" || {
        problem=failed problem_why="$dir cannot be written: is the disk full?"
    }
}

drifted() {
    [ -n "$problem" ] || problem=drifted problem_why=$1
}

# Whether this is still that process, in everything that was known of it.
same_process() { # PID START EXE CGROUP
    [ "$(started "$1")" = "$2" ] || {
        why="process $1 has ended, or is another one by now"
        return 1
    }
    [ "$(readlink "/proc/$1/exe")" = "$3" ] && [ "$(cgroup_of "$1")" = "$4" ] || {
        why="process $1 executes something else now, or moved to another cgroup"
        return 1
    }
}

act_end() { # PID START EXE CGROUP PORT
    number=$((number + 1))
    if [ "$mode" = look ]; then
        same_process "$1" "$2" "$3" "$4" || drifted "$why"
        return 0
    fi
    # The unit that loops would take the port in the middle.
    if [ "$RESTART" = yes ] && managed && [ ! -e "$dir/stopped" ]; then
        { true >"$dir/stopped" && true >"$dir/restarted" && sync "$dir"; } 2>/dev/null ||
            broke "$dir cannot be written: is the disk full?"
        manager stop -- "$UNIT" >/dev/null 2>&1
    fi
    send TERM "$1" "$2" "$3" "$4" || broke "$why"
    patience=75
    while [ "$(started "$1")" = "$2" ] && ! is_zombie "$1"; do
        patience=$((patience - 1))
        if [ "$patience" = 0 ]; then send KILL "$1" "$2" "$3" "$4" || break; fi
        [ "$patience" -gt -25 ] || broke "process $1 does not end, not even by SIGKILL"
        sleep 0.2 2>/dev/null || sleep 1
    done
    note "process $1 ended"
    # What holds the port now, if anything does, is for the verification to say.
    patience=25
    while listening "$5" && [ "$patience" -gt 0 ]; do
        patience=$((patience - 1))
        sleep 0.2 2>/dev/null || sleep 1
    done
}

is_zombie() { # PID
    case $(cat "/proc/$1/stat" 2>/dev/null) in *') Z '*) return 0 ;; esac
    return 1
}

listening() { # PORT
    hex=$(printf ':%04X' "$1")
    while read -r _ address _ state _; do
        case $state$address in 0A*"$hex") return 0 ;; esac
    done <<END
$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
END
    return 1
}

# Sends a signal to exactly that process. A pidfd names a process for as long as it is open: it is opened, then
# the process is compared, then the signal goes through it. Perl and Python have a way to the system call; without
# one of them this shell compares and sends in one go.
send() { # TERM|KILL PID START EXE CGROUP
    case $1 in TERM) signal=15 ;; *) signal=9 ;; esac
    way=9
    case $(uname -m) in alpha | mips*) ;; *)
        if command -v perl >/dev/null 2>&1; then
            way=0
            perl -e "$PERL" "$signal" "$2" "$3" "$4" "$5" || way=$?
        elif command -v python3 >/dev/null 2>&1; then
            way=0
            python3 -c "$PYTHON" "$signal" "$2" "$3" "$4" "$5" || way=$?
        fi
        ;;
    esac
    case $way in
    0)
        note "$1 to process $2, through a pidfd"
        return 0
        ;;
    4) why="process $2 has ended, or is another one by now" ;;
    5) why="process $2 may not be signalled by this login" ;;
    *)
        same_process "$2" "$3" "$4" "$5" || return 1
        kill -"$1" "$2" 2>/dev/null || {
            why="process $2 may not be signalled by this login, or has just ended"
            return 1
        }
        note "$1 to process $2"
        return 0
        ;;
    esac
    return 1
}

# 4: it is not that process. 5: not allowed. 9: there is no such way here.
# shellcheck disable=SC2016
PERL='
my ($signal, $pid, $start, $exe, $cgroup) = @ARGV;
my $fd = syscall(434, $pid + 0, 0);
if ($fd < 0) { exit($!{ESRCH} ? 4 : 9) }
sub same {
    open(my $f, "<", "/proc/$pid/stat") or return 0;
    local $/; my $stat = <$f>; $stat =~ s/.*\) //s; my @f = split(/ /, $stat);
    return 0 if $f[0] eq "Z" or $f[19] != $start;
    return 0 if (readlink("/proc/$pid/exe") // "") ne $exe;
    open(my $c, "<", "/proc/$pid/cgroup") or return 0;
    my ($v1, $v2) = ("", "");
    for (split(/\n/, <$c>)) {
        if (/:name=systemd:(.*)/) { $v1 = $1 if $1 ne "/" and $v1 eq "" } elsif (/^0::(.*)/) { $v2 = $1 }
    }
    return ($v1 ne "" ? $v1 : $v2) eq $cgroup;
}
same() or exit 4;
exit 0 if syscall(424, $fd, $signal + 0, 0, 0) == 0;
exit($!{EPERM} ? 5 : $!{ESRCH} ? 4 : 9);
'
PYTHON='
import os, signal, sys
number, pid, start, exe, cgroup = sys.argv[1:]
try:
    fd = os.pidfd_open(int(pid))
    send = signal.pidfd_send_signal
except ProcessLookupError:
    sys.exit(4)
except (OSError, AttributeError):
    sys.exit(9)
try:
    stat = open("/proc/%s/stat" % pid).read().rsplit(") ", 1)[1].split(" ")
    groups = open("/proc/%s/cgroup" % pid).read().splitlines()
    v1 = [g.split(":name=systemd:", 1)[1] for g in groups if ":name=systemd:" in g and not g.endswith(":name=systemd:/")]
    v2 = [g[3:] for g in groups if g.startswith("0::")]
    same = stat[0] != "Z" and stat[19] == start and os.readlink("/proc/%s/exe" % pid) == exe
    same = same and (v1 + v2 + [""])[0] == cgroup
except (OSError, IndexError):
    same = False
if not same:
    sys.exit(4)
try:
    send(fd, int(number))
except PermissionError:
    sys.exit(5)
except ProcessLookupError:
    sys.exit(4)
'

act_retire() { # UNIT SCOPE UID PATH DIGEST
    number=$((number + 1))
    if [ "$mode" = look ]; then
        [ "$(digest "$4")" = "$5" ] || drifted "$4 is no longer what the plan was made for"
        enabled=$(of_scope "$2" "$3" is-enabled -- "$1" 2>/dev/null)
        active=$(of_scope "$2" "$3" show -p ActiveState --value -- "$1" 2>/dev/null)
        inverse retire "$1" "$2" "$3" "$4" "$(aside "$2" "$3" "$4")" "$enabled" "$active"
        return 0
    fi
    of_scope "$2" "$3" stop -- "$1" >/dev/null 2>&1
    case $(of_scope "$2" "$3" show -p ActiveState --value -- "$1" 2>/dev/null) in
    active | activating | deactivating) broke "$1 does not stop" ;;
    esac
    of_scope "$2" "$3" disable -- "$1" >/dev/null 2>&1
    place=$(aside "$2" "$3" "$4")
    if [ "$place" = mask ]; then
        why=$(of_scope "$2" "$3" mask -- "$1" 2>&1) || broke "$1 cannot be masked: $why"
    else
        # shellcheck disable=SC2016
        why=$(by_owner "$2" "$3" sh -c 'mkdir -p -m 700 "${2%/*}" && mv "$1" "$2"' sh "$4" "$place" 2>&1) ||
            broke "$4 cannot be put aside: $why"
    fi
    of_scope "$2" "$3" daemon-reload >/dev/null 2>&1
    of_scope "$2" "$3" reset-failed -- "$1" >/dev/null 2>&1
    note "$1 ($2 $3) is stopped, disabled and put aside as $place"
}

# Where a unit's file is kept; what came with a package stays and is masked.
aside() { # SCOPE UID PATH
    case $1:$3 in
    system:/etc/systemd/system/*) echo "$base/aside/$RUN-${3##*/}" ;;
    user:*/.config/systemd/user/*) echo "${3%/.config/systemd/user/*}/.local/state/clawfleet/aside/$RUN-${3##*/}" ;;
    *) echo mask ;;
    esac
}

by_owner() { # SCOPE UID COMMAND…
    if [ "$1" = system ]; then
        shift 2
        "$@"
    else
        whose=$2
        shift 2
        as_user "$whose" "$@"
    fi
}

act_linger() { # USER
    number=$((number + 1))
    if [ "$mode" = look ]; then
        if [ -e "/var/lib/systemd/linger/$1" ]; then
            drifted "user $1 lingers already"
        else
            inverse linger "$1"
        fi
        return 0
    fi
    why=$(loginctl enable-linger "$1" 2>&1) || broke "lingering cannot be switched on for $1: $why"
    note "$1 lingers"
}

# A configuration is changed by its owner, who alone reads it: a copy for the undo stays on this host.
act_configure() { # PATH UID BEFORE AFTER, and AT REMOVED TEXT for each splice
    number=$((number + 1))
    path=$1 whose=$2 before=$3 after=$4
    shift 4
    staged=${path%/*}/.${path##*/}.clawfleet-$RUN
    if [ "$(digest_of "$whose" "$path")" != "$before" ]; then
        [ "$mode" != look ] || drifted "$path is no longer what the plan was made for"
        [ "$mode" = look ] || broke "$path was changed by somebody else meanwhile"
        return 0
    fi
    # Made anew in each pass, so that nothing of it lies about meanwhile.
    why=$(as_user "$whose" sh -c "$SPLICE" sh "$path" "$staged" "$@" 2>&1)
    [ "$(digest_of "$whose" "$staged")" = "$after" ] || {
        as_user "$whose" rm -f "$staged"
        why="${path%/*} cannot be written: ${why:-is the disk full?}"
        [ "$mode" = look ] || broke "$why"
        [ -n "$problem" ] || problem=failed problem_why=$why
        return 0
    }
    if [ "$mode" = look ]; then
        validate "$whose" "$staged"
        as_user "$whose" rm -f "$staged"
        as_user "$whose" cat "$path" >"$dir/config.$number" 2>/dev/null
        if [ "$(digest "$dir/config.$number")" = "$before" ]; then
            sync "$dir/config.$number" 2>/dev/null || sync
            inverse configure "$path" "$whose" "$before" "$after" "$dir/config.$number"
        else
            [ -n "$problem" ] || problem=failed problem_why="$path cannot be copied to $dir: is the disk full?"
        fi
        return 0
    fi
    as_user "$whose" sync "$staged" 2>/dev/null || sync
    why=$(as_user "$whose" mv -f "$staged" "$path" 2>&1) || broke "$path cannot be written: $why"
    note "$path changed; what it was is in $dir/config.$number"
}

# shellcheck disable=SC2016
SPLICE='
path=$1 staged=$2
shift 2
umask 077
rm -f "$staged"
set -C
{
    from=1
    while [ "$#" -gt 0 ]; do
        tail -c "+$from" "$path" | head -c "$(($1 + 1 - from))"
        printf "%s" "$3"
        from=$(($1 + $2 + 1))
        shift 3
    done
    tail -c "+$from" "$path"
} >"$staged" && chmod "$(stat -c %a "$path")" "$staged"
'

# Runs a command with the environment that a process has: a configuration may name variables of its unit. Values pass
# through a pipe, since whoever is on the host reads command lines.
AS_IT_RUNS=$(
    cat <<'END'
pid=$1
shift
{ [ "$pid" -gt 0 ] && [ -r "/proc/$pid/environ" ]; } 2>/dev/null || exec "$@" </dev/null
{
    tr '\0\n' '\n\1' <"/proc/$pid/environ" | awk '
        /^(UID|EUID|PPID|BASHOPTS|SHELLOPTS|NOTIFY_SOCKET)=/ { next }
        match($0, /^[A-Za-z_][A-Za-z0-9_]*=/) {
            value = substr($0, RLENGTH + 1)
            gsub(/\047/, "\047\\\047\047", value)
            print "export " substr($0, 1, RLENGTH) "\047" value "\047"
        }' | tr '\1' '\n'
    echo 'exec "$@" </dev/null'
} | sh -s "$@"
END
)

# Asks the gateway's own command, as the unit starts it, where it has one (2026.3 and later). A file that it refuses
# as it stands is nothing that it can judge a change of.
validate() { # UID FILE
    whose=$1
    file=$2
    set --
    word=
    for word in $(property ExecStart | sed -n 's/.*argv\[\]=\([^;]*\) ; .*/\1/p'); do
        [ "$word" != gateway ] || break
        set -- "$@" "$word"
    done
    if [ "$word" != gateway ] || [ "$#" = 0 ]; then
        note "the unit starts no gateway that could be asked whether its configuration is valid"
        return 0
    fi
    limit=
    ! command -v timeout >/dev/null 2>&1 || limit='timeout 60'
    # shellcheck disable=SC2086
    why=$(as_user "$whose" sh -c "$AS_IT_RUNS" sh "$(property MainPID)" \
        env "OPENCLAW_CONFIG_PATH=$file" $limit "$@" config validate 2>&1) && {
        note "config validate: $(one_line "$why")"
        return 0
    }
    case $why in *'unknown command'* | *'too many arguments'*)
        note "this version has no command that validates its configuration"
        return 0
        ;;
    esac
    [ -n "$problem" ] ||
        problem=failed problem_why="the gateway's own \`config validate\` refuses it: $(one_line "$why")"
}

# As its owner, and never through a link.
digest_of() { # UID FILE
    # shellcheck disable=SC2016
    sum=$(as_user "$1" sh -c '[ -f "$1" ] && [ ! -L "$1" ] && sha256sum <"$1"' sh "$2" 2>/dev/null)
    echo "${sum%% *}"
}

# As the owner: whoever can write in a directory above could lead root elsewhere.
act_mode() { # PATH UID BEFORE AFTER
    number=$((number + 1))
    now=$(as_user "$2" stat -c %a "$1" 2>/dev/null)
    if [ "$mode" = look ]; then
        if [ -L "$1" ] || [ "$now" != "$3" ]; then
            drifted "$1 is no longer what the plan was made for"
        else
            inverse mode "$1" "$2" "$3" "$4"
        fi
        return 0
    fi
    why=$(as_user "$2" chmod "$4" "$1" 2>&1) || broke "the permissions of $1 cannot be changed: $why"
    note "$1: $3 to $4"
}
