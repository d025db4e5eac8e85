# --- journal ----------------------------------------------------------------------------------

# One indexed reading of a day, newest lines first kept: the lines of the unit's own processes and of
# its manager about it. Where they are too many, systemd's own events are read once more, by message
# id (restart scheduled, main process exited, start failed, failed with result, out of memory), so
# that a gateway that talks much does not hide how often it was restarted.
lines_cap=6000
events_cap=20000

journal_of() { # SCOPE UID NAME
    if [ "$journal" = no ] && [ "$me" != "$2" ]; then
        frame journal "$1" "$2" "$3"
        echo "denied=the journal is closed to this login"
        return
    fi
    frame journal "$1" "$2" "$3"
    if ! command -v journalctl >/dev/null 2>&1; then
        echo "failed=this host has no journalctl"
        return
    fi
    if [ "$1" = system ]; then
        # Lines of a process that calls itself systemd are not the manager's.
        manager='^systemd[[]1[]]: '
        set -- "UNIT=$3" '' _PID=1 "_SYSTEMD_UNIT=$3"
    else
        manager='^systemd[[][0-9]+[]]: '
        set -- "USER_UNIT=$3" "_UID=$2" _COMM=systemd "_SYSTEMD_USER_UNIT=$3"
    fi
    told=$({
        journalctl -q --no-pager -o short-unix --since=-24h -n "$lines_cap" "$4" ${2:+"$2"} + "$1" ${2:+"$2"} "$3"
        echo "=status $?"
    } 2>/dev/null | read_journal "$lines_cap")
    case $told in *capped=yes*)
        {
            journalctl -q --no-pager -o short-unix --since=-24h -n "$events_cap" "$1" ${2:+"$2"} "$3" \
                MESSAGE_ID=5eb03494b6584870a536b337290809b3 \
                MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15 \
                MESSAGE_ID=be02cf6855d2428ba40df7e9d022f03d \
                MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c \
                MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef
        } 2>/dev/null | read_journal "$events_cap" | grep -e '^restarts_' -e '^capped='
        ;;
    esac
    printf '%s\n' "$told"
}

read_journal() { # CAP
    awk -v now="$now" -v cap="$1" -v by="$manager" '
        function note(kind) { count[kind]++; last[kind] = substr(text, 1, 300) }
        $1 == "=status" { status = $2; next }
        { lines++ }
        # A line that continues the one before has no head of its own.
        $1 ~ /^[0-9]+\.[0-9]+$/ {
            age = now - $1
            text = $0
            sub(/^[^ ]+ [^ ]+ /, "", text)
            pid = 0
            if (match(text, /\[[0-9]+\]: /)) pid = substr(text, RSTART + 1, RLENGTH - 4)
            manager = text ~ by
            sub(/^[^:]*: /, "", text)
        }
        $1 !~ /^[0-9]+\.[0-9]+$/ { text = $0 }
        manager {
            if (text ~ /cheduled restart job/) {
                if (age <= 600) r10++
                if (age <= 3600) r60++
                r24++
                next
            }
            if (text ~ /[Ll]eft-?over process [0-9]+ \((systemctl|sudo|openclaw|node|MainThread|sh|bash)/ || text ~ /Unit process [0-9]+ \((systemctl|sudo|openclaw)[^)]*\) remains running/ || text ~ /Killing process [0-9]+ \(systemctl\)/) note("remains")
            if (age > 3600) next
            if (text ~ /Main process exited/) note("exited")
            if (text ~ /Failed to start|Failed with result/) failed++
            if (text ~ /oom-kill|out of memory|OOM killer/) note("oom")
            next
        }
        text ~ /COMMAND=.*(systemctl .*(restart|stop|kill)|service .*(restart|stop)|openclaw gateway (restart|stop))/ && text ~ /gateway/ { note("inside") }
        text ~ /restart-loop breaker tripped/ { note("suppressed"); suppressed_by = pid }
        text ~ /config reload skipped \(invalid config\)/ { note("unusable"); unusable_by = pid; unusable_at = int(now - age) }
        text ~ /config (hot reload applied|change applied|change requires)/ { delete count["unusable"]; delete last["unusable"] }
        age > 3600 { next }
        text ~ /[Ff]ailed to start/ { failed++ }
        text ~ /already running|already listening|EADDRINUSE|ddress already in use|existing gateway is healthy|maintenance_required/ { note("taken") }
        text ~ /killing [0-9]+ stale gateway|cleared [0-9]+ stale gateway/ { note("stale") }
        text ~ /Missing config\.|Config invalid|Invalid config at|Gateway start blocked|Refusing to bind gateway|no (token|password) is configured|non-loopback Control UI requires/ { note("config") }
        text ~ /Fell back to "|Unknown model:/ { note("model") }
        text ~ /model fallback decision:/ && text !~ /next=none/ { note("model") }
        text ~ /signal SIGTERM received|received SIGTERM/ { note("sigterm") }
        END {
            if (status && !lines) print "failed=journalctl ended with status " status
            print "restarts_10m=" r10 + 0
            print "restarts_1h=" r60 + 0
            print "restarts_24h=" r24 + 0
            print "failed_1h=" failed + 0
            print "capped=" (lines >= cap ? "yes" : "no")
            for (kind in count) print kind "=" count[kind] " " last[kind]
            if ("suppressed" in count) print "suppressed_by=" suppressed_by
            if ("unusable" in count) {
                print "unusable_by=" unusable_by
                print "unusable_at=" unusable_at
            }
        }'
}
