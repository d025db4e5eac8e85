# --- the operator's own checks ------------------------------------------------------------------
#
# Each script runs in a sh of its own that reads it from its standard input, in a session and process
# group of its own. What it prints goes through a pipe to a reader with a cap. A child that it leaves
# behind may hold that pipe open for ever, so the reader never waits for the end of the pipe: when the
# script is over, marker lines and then blanks are written after its output, more than the reader takes.

# How much of a script's output is kept; how much more is read and dropped before the script gets
# SIGPIPE; how much is kept of its errors.
check_keep=8192
check_drop=262144
check_errors=1024

# run_check NAME LIMIT_S SCRIPT
run_check() {
    frame check "$1"
    { check_source "$2" "$3" | check_output; } 2>/dev/null
}

# Prints what the script's sh reads. The script is a function, so that all of it is read before any of
# it runs and its commands cannot read the rest. `ready` is printed only if sh understood it.
check_source() {
    # Without setsid there is no group to end: then sh alone is.
    target=
    command -v setsid >/dev/null 2>&1 && target=-
    printf '%s\n' 'clawfleet_check() {' "$2" '}' 'echo ready' "clawfleet_mark=@$N
clawfleet_end=$target\$\$" "(
    trap '' TERM PIPE
    exec 2>/dev/null
    sleep $1
    printf '\n%s late\n' \"\$clawfleet_mark\"
    kill -TERM \"\$clawfleet_end\"
    exec >&-
    sleep 1
    kill -KILL \"\$clawfleet_end\"
) </dev/null &
clawfleet_watch=\$!
(
    unset clawfleet_mark clawfleet_end clawfleet_watch
    clawfleet_check
) </dev/null
clawfleet_code=\$?
trap '' PIPE
exec 2>/dev/null
printf '\n%s ended %s\n' \"\$clawfleet_mark\" \"\$clawfleet_code\"
kill -KILL \"\$clawfleet_watch\"
kill -KILL \"\$clawfleet_end\""
}

# Reads a script and runs it; prints its frame's lines.
check_output() {
    alone=
    command -v setsid >/dev/null 2>&1 && alone=setsid
    {
        # Descriptor 6 is the pipe to the reader; the errors come through a pipe of their own.
        errors=$(
            {
                # The parentheses keep this shell's own "Killed" out of the script's errors.
                # shellcheck disable=SC2086
                (exec $alone sh -s 2>&1 >&6 6>&-)
                printf '\n@%s status %s\n' "$N" "$?" >&6
                check_blanks
            } | check_head "$check_errors"
        )
        IFS=$nl
        # shellcheck disable=SC2086
        [ -n "$errors" ] && printf '@!%s\n' $errors
        unset IFS
        printf '@!\n'
        check_blanks
    } 6>&1 | check_lines
}

check_blanks() { printf "%$((check_keep + check_drop + check_errors))s" ''; }

# The first bytes, and blanks no more; the rest is read and dropped.
check_head() {
    head -c "$1"
    head -c "$check_drop" >/dev/null
}

# Prints the lines of a `check` frame from a script's output and the markers after it.
check_lines() {
    # The full stop keeps the line ends at the end, which a substitution would take away.
    text=$(
        head -c "$check_keep"
        echo .
    )
    text=${text%.}
    all=$text
    case $text in
    *"$nl@!$nl"*) ;;
    # The script is not over, or its end lies behind the cap: of the rest only the markers count, and
    # the line that the cap may have cut in two.
    *) all=$text$(head -c "$check_drop" | sed -n '1p;/^@/p') ;;
    esac
    # What only just fits counts as cut, too: the blank line in front of the markers may be its own.
    case $text in *"$nl@$N "*) ;; *) echo cut=yes ;; esac
    output=${all%%"$nl@$N "*}
    case $output in
    ready | "ready$nl"*)
        [ ${#output} -gt ${#text} ] && output=$text
        output=${output#ready}
        ;;
    *)
        echo broken=yes
        output=
        ;;
    esac
    case $all in
    *"$nl@$N late$nl"*) echo timeout=yes ;;
    *"$nl@$N ended "*) check_code "${all#*"$nl@$N ended "}" ;;
    *"$nl@$N status "*) check_code "${all#*"$nl@$N status "}" ;;
    *) echo flood=yes ;;
    esac
    IFS=$nl
    # shellcheck disable=SC2086
    set -- $output
    [ $# -gt 0 ] && printf 'out=%s\n' "$@"
    # shellcheck disable=SC2086
    set -- ${all#"$output"}
    unset IFS
    left=5
    for line; do
        case $line in
        '@!') break ;;
        '@!'*[!' ']*)
            printf 'err=%s\n' "${line#@!}"
            left=$((left - 1))
            [ "$left" -gt 0 ] || break
            ;;
        esac
    done
}

check_code() { echo "exit=${1%%"$nl"*}"; }
