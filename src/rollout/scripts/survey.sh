# shellcheck shell=sh
# Looks at one unit for a plan, and writes nothing: what stands in the places of the planned files, what
# systemd has in force, and how exposed it finds the unit.
# The controller sets before it: ASK (the properties), SHAPE, DROP_IN, and a function planned that calls
# planned_file NAME for each file, and
# planned_text, which prints the first one's text; and a function beside, which calls look_process PID, look_file PATH and
# look_text PATH UID for what a fix may touch.

survey() {
    places
    frame place
    echo "units=$units"
    echo "uid=$(id -u)"
    echo "gid=$(id -g)"
    if managed; then echo manager=yes; else echo manager=no; fi
    held
    planned
    fragment
    beside
    if managed; then
        frame show
        # Each property alone: a list that names one which this systemd does not know is fine for it.
        manager show -p "$ASK" -- "$UNIT" 2>/dev/null
        exposure
    fi
    inside
    frame end
}

# What another run has changed and nobody has confirmed yet may be undone at any moment.
held() {
    holder=$(cat "$base/lock/run" 2>/dev/null)
    case $holder in '' | *[!0-9a-f-]*) return 0 ;; esac
    managed && [ "$(manager show -p ActiveState --value "clawfleet-undo-$holder.timer" 2>/dev/null)" = active ] || return 0
    printf 'held=%s of %s\n' "$holder" "$(one_line "$(cat "$base/lock/who" 2>/dev/null)")"
}

planned_file() { # NAME
    path=$units/$1
    frame planned "$path"
    if ! why=$(sound_place "$path"); then
        echo "unsound=$(one_line "$why")"
        return
    fi
    contents "$path"
}

# A file's digest, rights and text. Where it cannot be read, nothing is planned for it.
contents() { # PATH
    echo "digest=$(digest "$1")"
    [ -f "$1" ] || return 0
    if ! [ -r "$1" ]; then
        echo "unsound=$1 is not readable for this login"
        return 0
    fi
    echo "rights=$(stat -c '%a %u %g %s' "$1" 2>/dev/null)"
    head -c 65536 "$1" | base64 | sed 's/^/text=/'
}

# What a fix may end or put aside.
look_process() { # PID
    start=$(started "$1") || return 0
    frame process "$1"
    echo "start=$start"
    printf 'exe=%s\n' "$(one_line "$(readlink "/proc/$1/exe" 2>/dev/null)")"
    printf 'cgroup=%s\n' "$(one_line "$(cgroup_of "$1")")"
}

look_file() { # PATH
    frame file
    echo "path=$1"
    echo "digest=$(digest "$1")"
}

# A configuration, as its owner: whoever can write in a directory above could lead root elsewhere.
look_text() { # PATH UID
    frame text
    echo "path=$1"
    # shellcheck disable=SC2016
    why=$(as_user "$2" sh -c 'if [ -L "$1" ]; then echo "it is a link"; elif ! [ -f "$1" ] || ! [ -r "$1" ]; then
        echo "it is no file that its owner can read"; fi' sh "$1" 2>&1)
    if [ -n "$why" ]; then
        echo "unsound=$(one_line "$why")"
        return 0
    fi
    sum=$(as_user "$2" sha256sum "$1" 2>/dev/null)
    echo "digest=${sum%% *}"
    as_user "$2" head -c 262144 "$1" | base64 | sed 's/^/text=/'
}

# The unit's own file: a full unit is made from it, and systemd-analyze needs it.
fragment() {
    fragment=$units/$UNIT
    if managed; then fragment=$(property FragmentPath); fi
    [ -f "$fragment" ] || return 0
    frame fragment "$fragment"
    contents "$fragment"
}

# Whether this very session runs inside the unit: a restart would end it.
inside() {
    group=$(managed && property ControlGroup)
    [ -n "$group" ] || return 0
    while IFS=: read -r _ _ own; do
        case $own in "$group" | "$group"/*)
            frame inside
            return 0
            ;;
        esac
    done </proc/self/cgroup
}

# The exposure now, and as it would be. For the second a copy of the unit and the new files are put into
# a file system in memory that only this process sees and that goes with it: root's alone to make.
exposure() {
    command -v systemd-analyze >/dev/null 2>&1 || return 0
    [ "$(property LoadState)" = loaded ] || return 0
    if [ "$SCOPE" = system ]; then scope=--system; else scope=--user; fi
    frame exposure
    echo "before=$(systemd-analyze $scope security --no-pager -- "$UNIT" 2>/dev/null | overall)"
    [ "$SCOPE" = system ] && [ "$(id -u)" = 0 ] && command -v unshare >/dev/null 2>&1 || return 0
    systemd-analyze --help 2>/dev/null | grep -q -e '--offline' || return 0
    # shellcheck disable=SC2016
    after=$(planned_text | unshare -m --propagation private sh -c '
        mount -t tmpfs -o size=1m,mode=700 none /tmp || exit
        cp "$1" "/tmp/$2" || exit
        mkdir "/tmp/$2.d" || exit
        cat >"/tmp/new"
        if [ "$3" = unit ]; then cat /tmp/new >"/tmp/$2"; else cat /tmp/new >"/tmp/$2.d/$4"; fi
        systemd-analyze security --offline=true --no-pager "/tmp/$2"
    ' sh "$fragment" "$UNIT" "$SHAPE" "$DROP_IN" 2>/dev/null | overall)
    echo "after=$after"
}

# The figure in systemd-analyze's last line, e.g. 9.6.
overall() { sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p'; }

survey </dev/null
