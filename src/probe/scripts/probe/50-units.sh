# --- units ------------------------------------------------------------------------------------

# Environment and ExecStart are not asked for: old generated units keep a token in the one, and
# anything may stand in the other.
properties=Id,LoadState,ActiveState,SubState,Result,UnitFileState,MainPID,NRestarts
properties=$properties,ExecMainStatus,ExecMainCode,ControlGroup,FragmentPath,KillMode,Restart,Type
properties=$properties,User,RestartUSec,StartLimitBurst,StartLimitIntervalUSec,TimeoutStopUSec
properties=$properties,RestartPreventExitStatus,NeedDaemonReload,ActiveEnterTimestampMonotonic
properties=$properties,StateChangeTimestampMonotonic

# The names of a manager's units that are to be asked for: those with a file, and those wanted.
names_of() { # SCOPE UID
    names=
    for entry in $units_seen; do
        case $entry in "$1:$2:"*) names="$names ${entry#"$1:$2:"}" ;; esac
    done
}

system_units() {
    if ! command -v systemctl >/dev/null 2>&1; then
        frame denied system
        echo "failed=this host has no systemctl"
        return
    fi
    names_of system 0
    for name in $UNITS; do
        case " $names " in *" $name "*) ;; *) names="$names $name" ;; esac
    done
    # shellcheck disable=SC2086
    text=$(systemctl show --no-pager -p "$properties" -- $names 2>&1) || {
        frame denied system
        echo "failed=${text%%"$nl"*}"
        return
    }
    show_units system '' 0
}

user_units() {
    # shellcheck disable=SC2086
    set -- $users
    for entry; do
        IFS=:
        # shellcheck disable=SC2086
        user_unit $entry
        unset IFS
    done
}

user_unit() { # USER UID GID HOME
    unset IFS
    runtime=/run/user/$2
    names_of user "$2"
    if [ -z "$names" ]; then
        [ "$me" = 0 ] || [ "$me" = "$2" ] || [ -x "$4" ] || {
            frame denied user "$1" "$2"
            echo "denied=$4 is closed to this login"
        }
        return
    fi
    if ! [ -e "$runtime/systemd/private" ]; then
        # No manager runs: what stands in the files is all there is.
        for name in $names; do
            enabled=disabled
            set +f
            for link in "$4"/.config/systemd/user/*.wants/"$name" /etc/systemd/user/*.wants/"$name"; do
                [ -L "$link" ] && enabled=enabled
            done
            set -f
            frame unitfile user "$1" "$2" "$name"
            echo "UnitFileState=$enabled"
        done
        return
    fi
    # The other side of that socket belongs to the user: it may hang, or never end.
    if [ "$me" = "$2" ]; then
        # shellcheck disable=SC2086
        text=$(XDG_RUNTIME_DIR=$runtime $limited systemctl --user show --no-pager -p "$properties" -- $names 2>&1)
    elif [ "$me" = 0 ]; then
        # setpriv opens no session: runuser, su and `systemctl -M` would log one, and the last can
        # even start a manager that is not running.
        # shellcheck disable=SC2086
        text=$($limited setpriv --reuid "$2" --regid "$3" --clear-groups env "XDG_RUNTIME_DIR=$runtime" \
            systemctl --user show --no-pager -p "$properties" -- $names 2>&1)
    else
        frame denied user "$1" "$2"
        echo "denied=the manager of user $1 answers only to that user and to root"
        return
    fi || {
        frame denied user "$1" "$2"
        text=${text%%"$nl"*}
        echo "failed=${text:-the manager of user $1 did not answer}"
        return
    }
    show_units user "$1" "$2"
}

# Emits what `systemctl show` said: a paragraph for each unit.
show_units() { # SCOPE USER UID
    paragraph=
    IFS=$nl
    # A line with a blank keeps empty lines, which part the paragraphs, from being folded away.
    for line in $(printf '%s\n\n' "$text" | awk '{ print $0 " " }'); do
        unset IFS
        case $line in
        ' ')
            [ -n "$paragraph" ] && show_unit "$1" "$2" "$3"
            paragraph=
            ;;
        *) paragraph="$paragraph${line% }$nl" ;;
        esac
    done
    unset IFS
}

show_unit() {
    unset IFS
    case $paragraph in *LoadState=not-found*) return 0 ;; esac
    frame unit "$1" "$2" "$3"
    printf '%s' "$paragraph"
    name=${paragraph#*Id=}
    name=${name%%"$nl"*}
    main=${paragraph#*MainPID=}
    main=${main%%"$nl"*}
    case $main in '' | 0 | *[!0-9]*) ;; *) ancestry "$main" ;; esac
    journal_of "$1" "$3" "$name"
}

# Sockets were read before units. A holder that ended in between (a crashing gateway does) must not
# be compared with the unit's next main process, so it is named.
vanished() {
    for pid in $listener_pids; do
        [ -d "/proc/$pid" ] || echo "gone=$pid"
    done
}
