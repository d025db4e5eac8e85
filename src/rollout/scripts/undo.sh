# The undo of one unit in one run of clawfleet, kept on the host itself: it needs neither the bastion nor
# the network. A timer runs it when nobody disarmed it in time, a service runs it when the host was
# restarted meanwhile, and the controller runs it when something failed.
# Its first argument says who asks: timer, boot or now. What it does can be done again at any point: it
# may be ended in the middle.
# Set before it: RUN UNIT SCOPE BY MANAGER_UID units base run dir guard boot_guard boot_target.
set -u
set -f
umask 077
LC_ALL=C
export LC_ALL
trap '' HUP PIPE
PATH="${PATH:-/usr/bin:/bin}:/usr/sbin:/usr/bin:/sbin:/bin"
tab=$(printf '\t')

note() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*" >>"$dir/log" 2>/dev/null; }
state() { cat "$dir/state" 2>/dev/null; }
# Written beforehand, where the preparation came so far: a disk that is full by now does not hinder an undo.
set_state() {
    mv -f "$dir/state.$1" "$dir/state" 2>/dev/null || [ "$(state)" = "$1" ] || echo "$1" >"$dir/state"
    sync "$dir" 2>/dev/null
}
# Whether the process that wrote this file still runs.
works() { # FILE: pid and start
    { read -r worker since <"$1"; } 2>/dev/null || return 1
    [ "$(started "$worker")" = "$since" ]
}

# The one who decides first has decided: an undo, or that the new files stay. A rename onto a directory that
# is not empty fails. Where nothing was decided and nothing can be written, nobody said that the files stay.
decided() {
    mv -T "$dir/to-undo" "$dir/decision" 2>/dev/null
    [ "$(cat "$dir/decision/what" 2>/dev/null)" != keep ]
}

# Files that were still being staged or put in their places are left to whoever does it, or it is ended.
wait_for() { # FILE
    tries=0
    while works "$1" && [ "$tries" -lt 20 ]; do
        sleep 0.5 2>/dev/null || sleep 1
        tries=$((tries + 1))
    done
    if works "$1"; then kill -KILL "$worker" 2>/dev/null; fi
}

broke=

restore() {
    [ -f "$dir/manifest" ] || return 0
    while IFS=$tab read -r number before after made path; do
        parent=${path%/*}
        name=${path##*/}
        rm -f "$parent/.$name.clawfleet-$RUN" "$parent/.$name.clawfleet-undo-$RUN"
        case $(state) in preparing | prepared) : ;; *) restore_file ;; esac
        [ "$made" = no ] || rmdir "$parent" 2>/dev/null
    done <"$dir/manifest"
}

restore_file() {
    found=$(digest "$path")
    [ "$found" != "$before" ] || return 0
    if [ "$found" != "$after" ]; then
        broke="$path was changed by somebody else meanwhile, and is left as it is"
        return 0
    fi
    if [ "$before" = - ]; then
        rm -f "$path"
    else
        again_parent
        cp -a "$dir/old.$number" "$parent/.$name.clawfleet-undo-$RUN" &&
            { sync "$parent/.$name.clawfleet-undo-$RUN" 2>/dev/null || sync; } &&
            mv -f "$parent/.$name.clawfleet-undo-$RUN" "$path"
    fi
    sync "$parent" 2>/dev/null
    found=$(digest "$path")
    [ "$found" = "$before" ] || broke="$path could not be put back"
}

# The directory went with the last of its files.
again_parent() {
    [ ! -d "$parent" ] || return 0
    mkdir -m 755 "$parent" || return 0
    { read -r rights owner <"$dir/parent.$number"; } 2>/dev/null || return 0
    chmod "$rights" "$parent"
    chown "$owner" "$parent"
}

forget_boot() {
    rm -f "$units/$boot_guard.service" "$units/$boot_target.wants/$boot_guard.service"
    [ ! -e "$run/made-wants" ] || rmdir "$units/$boot_target.wants" 2>/dev/null
}

# The acts of a fix, the last one first. Each can be done again, and does nothing where the act was not done.
undo_acts() {
    [ -f "$dir/inverse" ] || return 0
    case $(state) in preparing | prepared) return 0 ;; esac
    sort -t "$tab" -k 1,1nr "$dir/inverse" >"$dir/inverse.sorted" 2>/dev/null
    [ -s "$dir/inverse.sorted" ] || cp "$dir/inverse" "$dir/inverse.sorted" 2>/dev/null
    while IFS=$tab read -r _ kind a b c d e f g; do
        case $kind in
        retire) undo_retire "$a" "$b" "$c" "$d" "$e" "$f" "$g" ;;
        linger) loginctl disable-linger "$a" || broke="lingering of $a could not be switched off again" ;;
        configure) undo_configure "$a" "$b" "$c" "$d" "$e" ;;
        mode)
            [ -L "$a" ] || [ "$(as_user "$b" stat -c %a "$a")" != "$d" ] || as_user "$b" chmod "$c" "$a" ||
                broke="the permissions of $a could not be given back"
            ;;
        esac
    done <"$dir/inverse.sorted"
}

undo_configure() { # PATH UID BEFORE AFTER COPY
    # shellcheck disable=SC2016
    found=$(as_user "$2" sh -c '[ -f "$1" ] && [ ! -L "$1" ] && sha256sum <"$1"' sh "$1")
    case ${found%% *} in
    "$3") return 0 ;;
    "$4") : ;;
    *)
        broke="$1 was changed by somebody else meanwhile, and is left as it is"
        return 0
        ;;
    esac
    # shellcheck disable=SC2016
    as_user "$2" sh -c 'umask 077 && rm -f "$2" && (set -C && cat >"$2") && chmod "$(stat -c %a "$1")" "$2" &&
        { sync "$2" 2>/dev/null || sync; } && mv -f "$2" "$1"' sh "$1" "${1%/*}/.${1##*/}.clawfleet-undo-$RUN" <"$5" ||
        broke="$1 could not be put back; its copy is $5"
}

undo_retire() { # UNIT SCOPE UID PATH PLACE ENABLED ACTIVE
    if [ "$5" = mask ]; then
        of_scope "$2" "$3" unmask -- "$1" || broke="$1 could not be unmasked"
    elif [ "$2" = system ]; then
        [ ! -f "$5" ] || [ -e "$4" ] || mv "$5" "$4" || broke="$4 could not be put back"
    else
        # shellcheck disable=SC2016
        as_user "$3" sh -c '[ ! -f "$1" ] || [ -e "$2" ] || mv "$1" "$2"' sh "$5" "$4" || broke="$4 could not be put back"
    fi
    of_scope "$2" "$3" daemon-reload
    case $6 in enabled | enabled-runtime) of_scope "$2" "$3" enable -- "$1" >/dev/null 2>&1 ;; esac
    case $7 in active | activating | reloading) [ "$why" = boot ] || of_scope "$2" "$3" --no-block start -- "$1" ;; esac
}

# What runs is changed back only where it was changed.
run_again() {
    managed || return 0
    manager daemon-reload || broke="systemd does not read its files again"
    [ ! -e "$dir/enabled" ] || manager disable -- "$UNIT" >/dev/null 2>&1
    [ -e "$dir/restarted" ] || return 0
    manager reset-failed -- "$UNIT" >/dev/null 2>&1
    case $(cat "$dir/active" 2>/dev/null) in
    active | activating | reloading) verb=restart ;;
    *) verb=stop ;;
    esac
    # At boot the unit is started after this, by itself.
    if [ "$why" = boot ]; then verb=none; fi
    [ "$verb" = none ] || manager --no-block "$verb" -- "$UNIT" || broke="the unit does not $verb"
    rm -f "$dir/restarted"
}

release() {
    [ "$(cat "$base/lock/run" 2>/dev/null)" = "$RUN" ] || return 0
    mv -T "$base/lock" "$dir/lock" 2>/dev/null || rm -rf "$base/lock"
}

# It was decided that the files stay, and the host went down before everything was disarmed: finish that.
finish_keeping() {
    [ "$(state)" = applied ] && ! works "$dir/disarming" || return 0
    forget_boot
    set_state kept
    note "kept, finished by $why"
    release
    [ "$why" = timer ] || ! keeps || keeper stop "$guard.timer" >/dev/null 2>&1
}

why=${1:-now}
[ -d "$dir" ] || exit 0
case $(state) in undone | undo-broke | kept) exit 0 ;; esac
decided || {
    finish_keeping
    exit 0
}
if works "$dir/undoing"; then
    # Somebody is at it: wait for the result.
    tries=0
    while works "$dir/undoing" && [ "$tries" -lt 120 ]; do
        sleep 0.5 2>/dev/null || sleep 1
        tries=$((tries + 1))
    done
    case $(state) in undone | undo-broke) exit 0 ;; esac
fi
echo "$$ $(started $$)" >"$dir/undoing"
wait_for "$dir/preparing"
# A preparation that failed meanwhile has taken everything with it.
[ -d "$dir" ] || exit 0
wait_for "$dir/applying"
note "undo ($why), from state $(state)"
restore
undo_acts
forget_boot
run_again
if [ -n "$broke" ]; then
    echo "$broke" >"$dir/broke"
    note "$broke"
    set_state undo-broke
else
    set_state undone
fi
note "$(state)"
rm -f "$dir/undoing"
release
# The timer last: stopping it may end this very process where the timer runs it.
[ "$why" = timer ] || ! keeps || keeper stop "$guard.timer" >/dev/null 2>&1
exit 0
