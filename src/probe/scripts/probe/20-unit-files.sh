# --- unit files -------------------------------------------------------------------------------
# Read before anything else: they name the units to ask for, the ports to look at and the
# configurations to read, at the cost of no process.

system_dirs='/etc/systemd/system.control /run/systemd/system.control /run/systemd/transient /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system'
units_seen=' '   # SCOPE:UID:NAME
configs_seen=$nl # one line each: UID|USER|PATH
state_dirs=' '
roots=' '
secret_files=

# The users whose managers may have a gateway's unit: everyone who has a running manager, lingers, or
# owns such a file in the usual place. Only local accounts' homes are looked into.
find_users() {
    users=' '
    set +f
    for dir in /run/user/[0-9]*; do
        [ -e "$dir/systemd/private" ] && user_of "${dir##*/}" && add_user
    done
    for file in /var/lib/systemd/linger/*; do
        [ -e "$file" ] && user_named "${file##*/}" && add_user
    done
    for name in $OWNERS; do
        user_named "$name" && add_user
    done
    while IFS=: read -r USER_NAME _ USER_UID USER_GID _ USER_HOME _; do
        if [ "$USER_UID" -eq 0 ] || { [ "$USER_UID" -ge 1000 ] && [ "$USER_UID" -lt 60000 ]; }; then
            for file in "$USER_HOME"/.config/systemd/user/*-gateway*.service; do
                [ -e "$file" ] && add_user
            done
            for name in $UNITS; do
                [ -e "$USER_HOME/.config/systemd/user/$name" ] && add_user
            done
        fi
    done 2>/dev/null </etc/passwd
    set -f
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

# unit_files SCOPE USER UID HOME DIR…: every gateway's unit in these directories, the first of a name
# wins, as it does for systemd.
unit_files() {
    scope=$1 unit_user=$2 unit_uid=$3 unit_home=$4
    shift 4
    dirs=$*
    taken=0
    for dir; do
        [ -d "$dir" ] || continue
        set +f
        set -- "$dir"/openclaw-gateway*.service "$dir"/clawdbot-gateway*.service "$dir"/moltbot-gateway*.service
        set -f
        for name in $UNITS; do set -- "$@" "$dir/$name"; done
        for file; do
            [ -f "$file" ] || [ -L "$file" ] || continue
            unit_name=${file##*/}
            case $unit_name in *[!A-Za-z0-9:_.@\\-]*) continue ;; esac
            case $units_seen in *" $scope:$unit_uid:$unit_name "*) continue ;; esac
            taken=$((taken + 1))
            if [ "$scope" = user ] && [ "$taken" -gt 8 ]; then
                # One user does not crowd out the others.
                frame denied user "$unit_user" "$unit_uid"
                echo "failed=more unit files than are looked at"
                return
            fi
            unit_file "$file"
        done
    done
}

unit_file() {
    unit_path=$1
    text=
    add_text "$1"
    dropins=
    for dropin_dir in $dirs; do
        [ -d "$dropin_dir/$unit_name.d" ] || continue
        set +f
        for dropin in "$dropin_dir/$unit_name.d"/*.conf; do
            [ -f "$dropin" ] || continue
            dropins="$dropins$dropin$nl"
            add_text "$dropin"
        done
        set -f
    done
    unit_settings
    case " $UNITS " in
    *" $unit_name "*) ;;
    *) is_gateway_command "$unit_exec" && [ "$unit_type" != oneshot ] || return 0 ;;
    esac
    units_seen="$units_seen$scope:$unit_uid:$unit_name "
    config_owner=${unit_run_as:-${unit_user:-root}}
    user_named "$config_owner" || USER_HOME=$unit_home
    [ "$scope" = user ] && USER_HOME=$unit_home
    # systemd reads these after Environment, so they have the last word.
    IFS=$nl
    for path in $environment_files; do
        unset IFS
        environment_file "$path"
    done
    unset IFS
    unit_paths
    frame file "$scope" "$unit_user" "$unit_uid" "$unit_name"
    echo "path=$1"
    [ -r "$1" ] || { [ -L "$1" ] && [ ! -e "$1" ]; } || echo "denied=$1 is not readable for this login"
    if [ -n "$unit_port" ]; then
        echo "port=$unit_port"
        case " $PORTS " in *" $unit_port "*) ;; *) PORTS="$PORTS $unit_port" ;; esac
    fi
    echo "config=$unit_config"
    echo "state=$unit_state"
    IFS=$nl
    for dropin in $dropins; do echo "dropin=$dropin"; done
    for line in $text; do
        unset IFS
        unit_line "$line"
    done
    unset IFS
    if [ -n "$unit_program" ]; then
        gone_from_disk "$unit_program" && echo "missing=$unit_program"
        [ -n "$unit_script" ] && gone_from_disk "$unit_script" && echo "missing=$unit_script"
    fi
    [ "$scope" = user ] && if [ -e "/var/lib/systemd/linger/$unit_user" ]; then echo linger=yes; else echo linger=no; fi
    case $configs_seen in
    *"|$unit_config$nl"*) ;;
    *) [ -z "$unit_config" ] || configs_seen="$configs_seen$USER_UID|$config_owner|$unit_config$nl" ;;
    esac
    case $state_dirs in
    *[[:space:]]"$unit_state "*) ;;
    *) case $unit_state in '' | *[[:space:]]*) ;; *) state_dirs="$state_dirs$unit_state " ;; esac ;;
    esac
    add_root "$unit_exec"
    # An entry point of that name is a link into the package.
    case $unit_program in */openclaw)
        [ -L "$unit_program" ] && add_root "$(readlink -f "$unit_program" 2>/dev/null)"
        ;;
    esac
}

# The file's settings, one a line, continuation lines joined, comments left out. At most 400 lines.
add_text() {
    joined=
    count=0
    [ -f "$1" ] && [ -r "$1" ] || return 0
    text="$text#=$1$nl"
    # The system's own directories are root's: what stands there is read without a process.
    if [ "$scope" = system ]; then
        while IFS= read -r line || [ -n "$line" ]; do add_line || break; done <"$1" 2>/dev/null
        return 0
    fi
    read_text=$(user_file "$1" 65536)
    IFS=$nl
    for line in $read_text; do add_line || break; done
    unset IFS
}

# One line of a unit: tabs become blanks, blanks around the first `=` go, as systemd has it.
add_line() {
    count=$((count + 1))
    [ "$count" -le 400 ] || return 1
    while :; do case $line in *"$tab"*) line="${line%%"$tab"*} ${line#*"$tab"}" ;; *) break ;; esac; done
    while :; do case $line in ' '*) line=${line#?} ;; *) break ;; esac; done
    case $line in '#'* | ';'*) [ -z "$joined" ] && return 0 ;; esac
    case $line in
    *\\)
        [ "${#joined}" -le 4000 ] && joined="$joined${line%?} "
        return 0
        ;;
    esac
    line=$joined$line
    joined=
    [ "${#line}" -le 4000 ] || return 0
    case $line in *' ='* | *'= '*)
        name=${line%%=*}
        rest=${line#*=}
        while :; do case $name in *' ') name=${name%?} ;; *) break ;; esac; done
        while :; do case $rest in ' '*) rest=${rest#?} ;; *) break ;; esac; done
        case $line in *=*) line=$name=$rest ;; esac
        ;;
    esac
    text="$text$line$nl"
}

unit_settings() {
    unit_exec=
    unit_environment=
    environment_files=
    unit_run_as=
    unit_type=
    IFS=$nl
    for line in $text; do
        case $line in
        ExecStart=) unit_exec= ;;
        ExecStart=*) unit_exec=${line#*=} ;;
        Environment=) unit_environment= ;;
        Environment=*) unit_environment="$unit_environment ${line#*=}" ;;
        EnvironmentFile=*) environment_files="$environment_files${line#*=}$nl" ;;
        User=*) unit_run_as=${line#*=} ;;
        Type=*) unit_type=${line#*=} ;;
        esac
    done
    unset IFS
    unit_program=${unit_exec%%[[:space:]]*}
    while :; do
        case $unit_program in [-@:+!]*) unit_program=${unit_program#?} ;; *) break ;; esac
    done
    unit_script=
    case $unit_program in
    /*) ;;
    *) unit_program= ;; # systemd searches its own path: only it can tell.
    esac
    case $unit_exec in *[\ ]/*.js* | *[\ ]/*.mjs*)
        for word in $unit_exec; do
            case $word in /*.js | /*.mjs)
                unit_script=$word
                break
                ;;
            esac
        done
        ;;
    esac
    case $unit_program$unit_script in *[%\"\'\$]*) unit_program='' unit_script='' ;; esac
}

# What the gateway reads from an environment file of its unit, and nothing else of it.
environment_file() {
    specifiers "${1#-}"
    entries=$(user_file "$value" 65536)
    IFS=$nl
    for entry in $entries; do
        case $entry in OPENCLAW_GATEWAY_PORT=* | OPENCLAW_STATE_DIR=* | OPENCLAW_CONFIG_PATH=* | OPENCLAW_PROFILE=* | HOME=*)
            unit_environment="$unit_environment $entry"
            ;;
        esac
    done
    unset IFS
}

# Whether a command line starts a gateway: not everything that is named after it is one.
is_gateway_command() {
    case " $1 " in
    *openclaw*[\ /]gateway\ * | *clawdbot*[\ /]gateway\ * | *moltbot*[\ /]gateway\ *) return 0 ;;
    *dist/index.js\ gateway\ * | *dist/entry.js\ gateway\ * | *.mjs\ gateway\ * | *\ gateway\ --port*) return 0 ;;
    esac
    return 1
}

# setting NAME: sets `value` to what the unit's environment gives it, the last one counts.
setting() {
    value=
    case " $unit_environment" in
    *[\ \"\']"$1"=*)
        value=${unit_environment##*[\ \"\']"$1"=}
        [ "$value" != "$unit_environment" ] || value=${unit_environment#*"$1"=}
        case $value in
        \"*)
            value=${value#?}
            value=${value%%\"*}
            ;;
        \'*)
            value=${value#?}
            value=${value%%\'*}
            ;;
        *) value=${value%%[\ \"\']*} ;;
        esac
        ;;
    *) return 1 ;;
    esac
}

# The port, the state directory and the configuration that the unit's gateway uses.
unit_paths() {
    unit_port=
    case $unit_exec in
    *--port[=\ ][0-9]*) unit_port=${unit_exec#*--port?} ;;
    *) setting OPENCLAW_GATEWAY_PORT && unit_port=$value ;;
    esac
    unit_port=${unit_port%%[!0-9]*}
    setting HOME && home=$value || home=$USER_HOME
    specifiers "$home"
    home=$value
    profile=
    case $unit_exec in *--profile[=\ ]*)
        profile=${unit_exec#*--profile?}
        profile=${profile%%[\ ]*}
        ;;
    *) setting OPENCLAW_PROFILE && profile=$value ;;
    esac
    case $profile in *[!A-Za-z0-9_.-]* | default) profile= ;; esac
    if setting OPENCLAW_STATE_DIR; then specifiers "$value"; else value=$home/.openclaw${profile:+-$profile}; fi
    unit_state=$value
    if setting OPENCLAW_CONFIG_PATH; then specifiers "$value"; else value=$unit_state/openclaw.json; fi
    unit_config=$value
    # The gateway would take a relative path from where it was started: nobody knows where that was.
    case $unit_config in /*) ;; *) unit_config= ;; esac
    case $unit_state in /*) ;; *) unit_state= ;; esac
}

# specifiers TEXT: sets `value`, with systemd's %h and %u replaced.
specifiers() {
    value=$1
    # shellcheck disable=SC2088 # the gateway expands it, not we
    case $value in '~/'*) value=$USER_HOME/${value#??} ;; esac
    case $value in *%h*) value=${value%%%h*}$USER_HOME${value#*%h} ;; esac
    case $value in *%u*) value=${value%%%u*}$config_owner${value#*%u} ;; esac
}

# Whether a path is surely not there, as against a place that this login cannot look into.
gone_from_disk() {
    [ -e "$1" ] && return 1
    [ "$me" = 0 ] && return 0
    parent=${1%/*}
    [ -d "$parent" ] && [ -x "$parent" ]
}

# One line of a unit, without what may be a secret: arguments and variables that are not known to be
# harmless become digests.
unit_line() {
    case $1 in
    '' | \[*) return 0 ;;
    '#='*) echo "from=${1#??}" ;;
    ExecStart=?*)
        masked=
        before=
        for word in ${1#*=}; do
            shown=no
            case $word in
            gateway | node | openclaw | --max-old-space-size=[0-9]*) shown=yes ;;
            --port=*) case ${word#--port=} in *[!0-9]*) ;; *) shown=yes ;; esac ;;
            --*=*)
                digest_of "${word#*=}"
                word="${word%%=*}=*$digest"
                shown=yes
                ;;
            --*) shown=yes ;;
            /*.js | /*.mjs) shown=yes ;;
            [@+!:-]/* | /*) [ -n "$masked" ] || shown=yes ;;
            *[!0-9]*) ;;
            *) [ "$before" = --port ] && shown=yes ;;
            esac
            before=$word
            [ "$shown" = yes ] || {
                digest_of "$word"
                word="*$digest"
            }
            masked="$masked $word"
        done
        echo "l=ExecStart=${masked# }"
        ;;
    Environment=?*) environment_line "${1#*=}" ;;
    Restart*=* | StartLimit*=* | KillMode=* | KillSignal=* | FinalKillSignal=* | SendSIGKILL=* | Timeout*=* | Type=* | User=* | Group=* | WorkingDirectory=* | After=* | Before=* | \
        Wants=* | Requires=* | Conflicts=* | PartOf=* | BindsTo=* | WantedBy=* | Success*=* | OOM*=* | Limit*=* | \
        Memory*=* | CPU*=* | Tasks*=* | IO*=* | Protect*=* | Private*=* | Restrict*=* | NoNewPrivileges=* | ReadWrite*=* | ReadOnly*=* | \
        Inaccessible*=* | Capab*=* | Ambient*=* | SystemCall*=* | Lock*=* | UMask=* | StandardOutput=* | StandardError=* | Syslog*=* | Nice=* | \
        Slice=* | Delegate*=* | Remove*=* | Notify*=* | Watchdog*=* | State*=* | Runtime*=* | Cache*=* | Logs*=* | \
        Configuration*=* | Device*=* | Also=* | Alias=* | Documentation=* | EnvironmentFile=* | ExecStart= | Environment=)
        echo "l=$1"
        ;;
    *=?*)
        # What is no name of a setting may be a piece of a secret.
        case ${1%%=*} in '' | *[!A-Za-z0-9-]*) return 0 ;; esac
        name=${1%%=*}
        [ "${#name}" -le 40 ] || return 0
        digest_of "${1#*=}"
        echo "l=$name=*$digest"
        ;;
    esac
}

environment_line() {
    case $1 in
    OPENCLAW_GATEWAY_TOKEN=?* | *[\ \"\']OPENCLAW_GATEWAY_TOKEN=?* | OPENCLAW_GATEWAY_PASSWORD=?* | *[\ \"\']OPENCLAW_GATEWAY_PASSWORD=?*)
        echo token_inside=yes
        secret_files="$secret_files$unit_path$nl"
        ;;
    esac
    case $1 in
    *[\ \"\']*)
        # Several in one line, or quoted: whole or not at all.
        bare=${1#\"}
        bare=${bare%\"}
        case $bare in *[\ \"\']*)
            digest_of "$1"
            echo "l=Environment=*$digest"
            return
            ;;
        esac
        ;;
    *) bare=$1 ;;
    esac
    case $bare in
    HOME=* | TMPDIR=* | PATH=* | LANG=* | LC_*=* | TZ=* | NODE_ENV=* | XDG_RUNTIME_DIR=* | OPENCLAW_GATEWAY_PORT=* | OPENCLAW_SYSTEMD_UNIT=* | \
        OPENCLAW_SERVICE_*=* | OPENCLAW_STATE_DIR=* | OPENCLAW_CONFIG_PATH=* | OPENCLAW_PROFILE=* | OPENCLAW_NO_RESPAWN=*)
        echo "l=Environment=$bare"
        ;;
    *)
        digest_of "${bare#*=}"
        echo "l=Environment=${bare%%=*}=*$digest"
        ;;
    esac
}
