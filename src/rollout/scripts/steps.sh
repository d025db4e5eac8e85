# shellcheck shell=sh disable=SC2154
# The steps that change a host. Each is one run of this script; what a step needs of an earlier one stands in
# the run's directory on the host.
# The controller sets before it: STEP, WHO, HOST (its name in the inventory), EXPECT (which ActiveStates the unit may have, or empty), ARM (seconds until the undo, or empty), ENABLE and RESTART
# (yes or no), ASK (properties), UNDO (the text of the undo), a function files that calls
# planned_file PATH BEFORE AFTER MODE TEXT UID:GID for each file, and a function acts that calls act_… for what a fix does
# beside them.

state() { cat "$dir/state" 2>/dev/null || echo none; }
# Later states and decisions are written beforehand: a rename works on a disk that is full by then.
write_states() {
    mkdir "$dir/to-keep" "$dir/to-undo" || return 1
    for later in prepared applying applied kept undone undo-broke; do echo "$later" >"$dir/state.$later" || return 1; done
    echo keep >"$dir/to-keep/what" && echo undo >"$dir/to-undo/what" || return 1
    sync "$dir/state.prepared" "$dir/state.applying" "$dir/state.applied" "$dir/state.kept" "$dir/state.undone" \
        "$dir/state.undo-broke" "$dir/to-keep/what" "$dir/to-undo/what" 2>/dev/null || sync
}
set_state() {
    mv -f "$dir/state.$1" "$dir/state" 2>/dev/null || [ "$(state)" = "$1" ] || return 1
    sync "$dir" 2>/dev/null || true
}
note() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*" >>"$dir/log" 2>/dev/null; }

# --- prepare ----------------------------------------------------------------------------------

prepare() {
    managed || [ "$RESTART" = no ] || answer failed "the manager of $SCOPE units does not run, so $UNIT cannot be restarted"
    why=$(mkdir -p "$base/runs" 2>&1) || answer failed "$base cannot be made: $why"
    [ -O "$base" ] && ! [ -L "$base" ] || answer failed "$base is not a directory of this user's own"
    # An earlier try of this very step whose answer was lost.
    case $(state) in prepared) answer prepared ;; esac
    lock
    mkdir -p "$run" 2>/dev/null && mkdir "$dir" 2>/dev/null || {
        [ "$taken" = no ] || unlock
        answer failed "$dir cannot be made, or is there already"
    }
    # Whatever ends this step from here on takes its traces with it.
    trap 'discard' EXIT
    echo preparing >"$dir/state" || answer failed "$dir cannot be written"
    echo "$$ $(started $$)" >"$dir/preparing"
    property ActiveState >"$dir/active"
    ! managed || [ -s "$dir/active" ] || answer failed "$dir cannot be written: is the disk full?"
    # What ran when the plan was made, and what the restart is for, has to run still.
    if [ -n "$EXPECT" ] && managed; then
        active=$(cat "$dir/active")
        case " $EXPECT " in *" $active "*) ;; *)
            answer drifted "the unit is $active by now, and was ${EXPECT% failed} when the plan was made"
            ;;
        esac
    fi
    count=0
    problem=
    mode=look
    files
    number=0
    acts
    [ -z "$problem" ] || answer "$problem" "$problem_why"
    : >"$dir/manifest.new"
    count=0
    mode=list
    files
    # Without the list there is no undo, so it has to be whole.
    mv "$dir/manifest.new" "$dir/manifest" && [ "$(grep -c . "$dir/manifest")" = "$count" ] ||
        answer failed "$dir cannot be written: is the disk full?"
    { write_undo && write_states; } 2>/dev/null || answer failed "$dir cannot be written: is the disk full?"
    arm
    count=0
    mode=stage
    files
    [ -z "$problem" ] || answer "$problem" "$problem_why"
    verify_staged
    # A power loss from here on finds the undo whole.
    sync "$dir/undo.sh" "$dir/manifest" "$dir/active" "$base/lock/run" "$base/lock/boot" "$base/lock/who" \
        "$units/$boot_guard.service" "$dir" "$run" "$base" 2>/dev/null || sync
    [ ! -e "$dir/inverse" ] || sync "$dir/inverse" 2>/dev/null || sync
    set_state prepared || answer failed "$dir cannot be written"
    rm -f "$dir/preparing"
    trap - EXIT
    answer prepared
}

# What a failed preparation leaves: nothing.
discard() {
    trap - EXIT
    if [ -f "$dir/manifest" ]; then
        while IFS=$tab read -r _ _ _ made path; do
            rm -f "${path%/*}/.${path##*/}.clawfleet-$RUN"
            [ "$made" = no ] || rmdir "${path%/*}" 2>/dev/null
        done <"$dir/manifest"
    fi
    disarm_all
    rm -rf "$dir"
    rmdir "$run" 2>/dev/null
    unlock
}

# One run at a time on a host. A lock whose run is over, or died with its host, is taken over, after its
# undo was carried out.
lock() {
    boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
    mine="$base/.lock.$$"
    rm -rf "$mine"
    mkdir "$mine" 2>/dev/null || answer failed "$base cannot be written: is the disk full?"
    { echo "$RUN" >"$mine/run"; } 2>/dev/null && echo "$WHO" >"$mine/who" && echo "$HOST" >"$mine/host" &&
        echo "${ARM:-0}" >"$mine/arm" && echo "$boot" >"$mine/boot" &&
        echo "$$ $(started $$)" >"$mine/holder" && date +%s >"$mine/since" || {
        rm -rf "$mine"
        answer failed "$base cannot be written: is the disk full?"
    }
    tries=0
    taken=yes
    # A rename onto a directory that is not empty fails: that makes it a lock.
    until take "$mine"; do
        holder=$(cat "$base/lock/run" 2>/dev/null)
        tries=$((tries + 1))
        if [ "$holder" = "$RUN" ] && [ "$(cat "$base/lock/host" 2>/dev/null)" = "$HOST" ]; then
            rm -rf "$mine"
            taken=no
            break
        fi
        if [ "$holder" = "$RUN" ]; then
            rm -rf "$mine"
            answer locked "this run has the same machine under the name $(cat "$base/lock/host" 2>/dev/null)"
        fi
        # A lock without a run is what a loss of power left of one.
        if [ -z "$holder" ] && [ "$tries" -le 3 ]; then
            drop_lock
            continue
        fi
        if [ "$tries" -gt 3 ] || [ -z "$holder" ] || is_alive "$holder"; then
            rm -rf "$mine"
            answer locked "run ${holder:-unknown} of $(cat "$base/lock/who" 2>/dev/null) holds this host"
        fi
        settle_dead "$holder"
    done
}

take() { # DIRECTORY
    [ ! -e "$base/lock" ] || return 1
    mv -T "$1" "$base/lock" 2>/dev/null
}

unlock() {
    if [ "$(cat "$base/lock/run" 2>/dev/null)" = "$RUN" ]; then drop_lock; fi
}

# By a rename to the run's own directory: half of a lock is never seen, and a loss of power leaves nothing beside it.
drop_lock() { mv -T "$base/lock" "$dir/lock" 2>/dev/null || rm -rf "$base/lock"; }

# A run lives while its script runs, or its undo waits.
is_alive() { # RUN
    [ "$(cat "$base/lock/boot" 2>/dev/null)" = "$boot" ] || return 1
    if { read -r pid since <"$base/lock/holder"; } 2>/dev/null && [ "$(started "$pid")" = "$since" ]; then
        return 0
    fi
    keeps && [ "$(keeper show -p ActiveState --value -- "clawfleet-undo-$1.timer" 2>/dev/null)" = active ] && return 0
    # Without a manager no timer waits; then its time counts, for as long as the host was not restarted.
    if ! keeps; then
        since=$(cat "$base/lock/since" 2>/dev/null)
        arm=$(cat "$base/lock/arm" 2>/dev/null)
        for other in "$base/runs/$1"/*/state; do
            [ "$(cat "$other" 2>/dev/null)" != kept ] || since=
        done
        [ -z "$since" ] || [ "$(date +%s)" -ge $((since + ${arm:-0})) ] || return 0
    fi
    # Not armed, by the operator's wish: it is over when somebody says so.
    set +f
    for other in "$base/runs/$1"/*/unarmed; do
        if [ -e "$other" ]; then
            case $(cat "${other%/*}/state") in kept | undone | undo-broke) ;; *)
                set -f
                return 0
                ;;
            esac
        fi
    done
    set -f
    return 1
}

settle_dead() { # RUN
    case $1 in '' | *[!0-9a-f-]*) return ;; esac
    set +f
    for other in "$base/runs/$1"/*/undo.sh; do
        [ ! -f "$other" ] || sh "$other" now </dev/null >/dev/null 2>&1
    done
    set -f
    [ "$(cat "$base/lock/run" 2>/dev/null)" != "$1" ] || drop_lock
}

# planned_file PATH BEFORE AFTER MODE TEXT UID:GID: what is done with it depends on the pass.
planned_file() {
    path=$1
    count=$((count + 1))
    [ -z "$problem" ] || return 0
    parent=${path%/*}
    staged=$parent/.${path##*/}.clawfleet-$RUN
    case $mode in
    look)
        if ! why=$(sound_place "$path"); then
            problem=failed problem_why=$why
        elif [ "$(digest "$path")" != "$2" ]; then
            problem=drifted problem_why="$path is no longer what the plan was made for"
        fi
        ;;
    list)
        if [ -d "$parent" ]; then made=no; else made=yes; fi
        printf '%s\t%s\t%s\t%s\t%s\n' "$count" "$2" "$3" "$made" "$path" >>"$dir/manifest.new"
        ;;
    stage)
        if [ "$2" != - ] && ! { cp -a "$path" "$dir/old.$count" && sync "$dir/old.$count"; } 2>/dev/null; then
            problem=failed problem_why="a copy of $path cannot be kept in $dir: is the disk full?"
            return 0
        fi
        [ "$3" != - ] || return 0
        if [ "$SCOPE" = system ]; then rights=755; else rights=700; fi
        # Those between are as the umask wants: nobody else's.
        # shellcheck disable=SC2174
        [ -d "$parent" ] || why=$(mkdir -m "$rights" -p "$parent" 2>&1) || {
            problem=failed problem_why="$parent cannot be made: $why"
            return 0
        }
        rm -f "$staged"
        # `set -C`: what somebody plants there in this moment is not written through.
        if ! why=$({ (set -C && printf '%s' "$5" >"$staged"); } 2>&1 && chmod "$4" "$staged" 2>&1 &&
            { [ "$(id -u)" != 0 ] || [ "$6" = 0:0 ] || chown "$6" "$staged" 2>&1; }) ||
            [ "$(digest "$staged")" != "$3" ]; then
            problem=failed problem_why="$parent cannot be written: ${why:-is the disk full?}"
            return 0
        fi
        sync "$staged" 2>/dev/null || sync
        ;;
    esac
}

write_undo() {
    {
        echo '#!/bin/sh'
        for name in RUN UNIT SCOPE BY MANAGER_UID units base run dir guard boot_guard boot_target; do
            eval "value=\$$name"
            printf "%s='%s'\n" "$name" "$(printf '%s' "$value" | sed "s/'/'\\\\''/g")"
        done
        printf '%s' "$UNDO"
    } >"$dir/undo.sh" 2>/dev/null && [ "$(tail -n 1 "$dir/undo.sh")" = 'exit 0' ] && sync "$dir" 2>/dev/null
}

# The undo waits in two places: a timer for as long as the host runs, and a service before the unit for when
# it was restarted meanwhile.
arm() {
    [ -n "$ARM" ] || {
        : >"$dir/unarmed"
        return 0
    }
    why=$(
        mkdir -p "$units" 2>&1 || exit
        [ -d "$units/$boot_target.wants" ] || { : >"$run/made-wants" && mkdir "$units/$boot_target.wants"; } 2>&1 || exit
        {
            cat <"/dev/null"
            printf '%s\n' '# Written by clawfleet for the time of a rollout; it removes itself.' '[Unit]' \
                "Description=Undo of clawfleet run $RUN, which was not verified before the restart" \
                "Before=$UNIT" "RequiresMountsFor=$base" '[Service]' 'Type=oneshot' \
                "ExecStart=/bin/sh \"$(printf '%s' "$dir/undo.sh" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')\" boot" >"$units/$boot_guard.service"
        } 2>&1 || exit
        chmod 644 "$units/$boot_guard.service"
        ln -s "../$boot_guard.service" "$units/$boot_target.wants/$boot_guard.service" 2>&1 || exit
        sync "$units" 2>/dev/null
    ) || true
    [ -L "$units/$boot_target.wants/$boot_guard.service" ] && [ -s "$units/$boot_guard.service" ] ||
        answer failed "the undo cannot be armed: ${why:-$units cannot be written}"
    # While a user's manager does not run, none of its units do: the service alone is enough.
    keeps || return 0
    if [ "$SCOPE" = system ] || [ "$BY" = root ]; then bus=--system; else bus=--user; fi
    why=$(systemd-run $bus --quiet --collect --unit="$guard" --on-active="$ARM" --timer-property=AccuracySec=1s \
        --description="Undo of clawfleet run $RUN" /bin/sh "$dir/undo.sh" timer 2>&1) ||
        answer failed "the undo cannot be armed: $why"
    [ "$(keeper show -p ActiveState --value "$guard.timer" 2>/dev/null)" = active ] ||
        answer failed "the undo cannot be armed: its timer is not active"
}

disarm_all() {
    if keeps; then keeper stop "$guard.timer" >/dev/null 2>&1; fi
    rm -f "$units/$boot_guard.service" "$units/$boot_target.wants/$boot_guard.service"
    [ ! -e "$run/made-wants" ] || rmdir "$units/$boot_target.wants" 2>/dev/null
    rm -f "$run/made-wants"
    # Whoever read its files again meanwhile knows the service.
    if keeps && [ "$(keeper show -p LoadState --value "$boot_guard.service" 2>/dev/null)" = loaded ]; then
        keeper daemon-reload >/dev/null 2>&1
    fi
}

# systemd's own word on the staged files. It also complains of what was there before, so only what is new counts.
verify_staged() {
    [ -s "$dir/manifest" ] || return 0
    command -v systemd-analyze >/dev/null 2>&1 || return 0
    managed || return 0
    if [ "$SCOPE" = system ]; then scope=--system; else scope=--user; fi
    fragment=$(property FragmentPath)
    scratch=$dir/verify
    mkdir "$scratch" "$scratch/$UNIT.d" || answer failed "$dir cannot be written: is the disk full?"
    before=
    if [ -f "$fragment" ]; then
        cp "$fragment" "$scratch/$UNIT" || answer failed "$dir cannot be written: is the disk full?"
        before=$(systemd-analyze $scope verify --no-pager "$scratch/$UNIT" 2>&1)
    fi
    count=0
    mode=verify
    while IFS=$tab read -r _ _ after _ path; do
        case ${path##*/} in
        "$UNIT") copy=$scratch/$UNIT ;;
        *) copy=$scratch/$UNIT.d/${path##*/} ;;
        esac
        if [ "$after" = - ]; then
            # A file that goes is masked, as it would be without it.
            case $copy in *.d/*) ln -sf /dev/null "$copy" ;; esac
        else
            cp "${path%/*}/.${path##*/}.clawfleet-$RUN" "$copy" || answer failed "$dir cannot be written: is the disk full?"
        fi
    done <"$dir/manifest"
    status=0
    [ -f "$scratch/$UNIT" ] || {
        rm -rf "$scratch"
        return 0
    }
    after=$(systemd-analyze $scope verify --no-pager "$scratch/$UNIT" 2>&1) || status=$?
    printf '%s\n' "$before" >"$scratch/before"
    new=$(printf '%s\n' "$after" | grep -v -x -F -f "$scratch/before" | grep -F "$UNIT")
    if [ -n "$new" ]; then
        first=$(printf '%s\n' "$new" | head -n 3)
        rm -rf "$scratch"
        answer failed "systemd-analyze verify does not take the new files: $first"
    fi
    # Without a fragment there is nothing to compare with: its status decides.
    if [ "$status" != 0 ] && ! [ -f "$fragment" ]; then
        rm -rf "$scratch"
        answer failed "systemd-analyze verify ends with $status: $(printf '%s' "$after" | head -n 3)"
    fi
    rm -rf "$scratch"
}

# --- apply ------------------------------------------------------------------------------------

apply() {
    case $(state) in
    prepared) ;;
    applied) answer applied "$(cat "$dir/main-pid" 2>/dev/null)" ;;
    *) report ;;
    esac
    echo "$$ $(started $$)" >"$dir/applying"
    [ ! -e "$dir/decision" ] || report
    set_state applying || broke "$dir cannot be written"
    mode='do'
    number=0
    acts
    while IFS=$tab read -r number before after _ path; do
        [ ! -e "$dir/decision" ] || broke "its undo began"
        [ "$(digest "$path")" = "$before" ] || broke "$path was changed by somebody else meanwhile"
        staged=${path%/*}/.${path##*/}.clawfleet-$RUN
        if [ "$after" = - ]; then
            why=$(rm -f "$path" 2>&1) || broke "$path cannot be removed: $why"
            # An empty directory of drop-ins is of no use. What it was like stays for the undo.
            case $path in
            */"$UNIT".d/*)
                stat -c '%a %u:%g' "${path%/*}" >"$dir/parent.$number" 2>/dev/null
                rmdir "${path%/*}" 2>/dev/null
                ;;
            esac
        else
            why=$(mv -f "$staged" "$path" 2>&1) || broke "$path cannot be written: $why"
        fi
        sync "${path%/*}" 2>/dev/null || sync "$units" 2>/dev/null
        [ "$(digest "$path")" = "$after" ] || broke "$path is not what was written"
    done <"$dir/manifest"
    if managed; then
        property MainPID >"$dir/main-pid"
        why=$(manager daemon-reload 2>&1) || broke "systemd does not read its files again: $why"
        if [ "$ENABLE" = yes ]; then
            { true >"$dir/enabled" && sync "$dir"; } 2>/dev/null || broke "$dir cannot be written: is the disk full?"
            why=$(manager enable -- "$UNIT" 2>&1) || broke "the unit cannot be enabled: $why"
        fi
        if [ "$RESTART" = yes ]; then
            { true >"$dir/restarted"; } 2>/dev/null || broke "$dir cannot be written: is the disk full?"
            manager reset-failed -- "$UNIT" >/dev/null 2>&1
            set_state applied || broke "$dir cannot be written"
            # The manager does it: it dies neither with this session nor with the gateway.
            why=$(manager --no-block restart -- "$UNIT" 2>&1) || broke "the unit cannot be restarted: $why"
        fi
    fi
    set_state applied || broke "$dir cannot be written"
    rm -f "$dir/applying"
    answer applied "$(cat "$dir/main-pid" 2>/dev/null)"
}

broke() {
    rm -f "$dir/applying"
    note "$1"
    answer broke "$1"
}

# --- disarm, undo, look -----------------------------------------------------------------------

disarm() {
    [ "$(state)" = applied ] || report
    echo "$$ $(started $$)" >"$dir/disarming"
    # A rename onto a directory that is not empty fails: the first one has decided.
    mv -T "$dir/to-keep" "$dir/decision" 2>/dev/null
    [ "$(cat "$dir/decision/what" 2>/dev/null)" = keep ] || report
    disarm_all
    set_state kept
    rm -f "$dir/disarming"
    note kept
    unlock
    prune >/dev/null
    report
}

# The files that newer runs replaced are kept, those of the oldest are not.
prune() {
    set +f
    # shellcheck disable=SC2012
    ls -1d "$base"/runs/[0-9]* 2>/dev/null | sort -r | tail -n +11 | while IFS= read -r old; do
        # A bastion's clock may have been set back: this run is not old.
        [ "$old" = "$run" ] || rm -rf "$old"
    done
    set -f
}

undo() {
    [ -f "$dir/undo.sh" ] || report
    sh "$dir/undo.sh" now </dev/null >/dev/null 2>&1
    report
}

# What the run's directory says of itself, and what systemd has in force.
report() {
    # It was decided to keep, and then the host went down: the undo's script knows how that ends.
    if [ "$(state)" = applied ] && [ "$(cat "$dir/decision/what" 2>/dev/null)" = keep ]; then
        sh "$dir/undo.sh" now </dev/null >/dev/null 2>&1
    fi
    frame state "$(state)"
    [ ! -s "$dir/broke" ] || printf 'why=%s\n' "$(one_line "$(cat "$dir/broke")")"
    [ ! -s "$dir/main-pid" ] || printf 'main-pid=%s\n' "$(cat "$dir/main-pid")"
    if keeps && [ "$(keeper show -p ActiveState --value "$guard.timer" 2>/dev/null)" = active ]; then echo armed=yes; fi
    if [ -f "$dir/manifest" ]; then
        while IFS=$tab read -r _ before after _ path; do
            found=$(digest "$path")
            case $found in
            "$after") found=new ;;
            "$before") found=old ;;
            *) found=other ;;
            esac
            printf 'file=%s %s\n' "$found" "$path"
        done <"$dir/manifest"
    fi
    if [ -n "$ASK" ] && managed; then
        frame show
        manager show -p "$ASK" -- "$UNIT" 2>/dev/null
    fi
    frame end
    exit 0
}

main() {
    places
    case $STEP in
    prepare) prepare ;;
    apply) apply ;;
    disarm) disarm ;;
    undo) undo ;;
    look) report ;;
    esac
}

# Everything above is only defined until here: a script that arrives cut off does nothing.
main </dev/null
