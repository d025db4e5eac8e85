# --- configuration ----------------------------------------------------------------------------

# Each openclaw.json (JSON5) that a unit names; without a unit, the one of whoever listens.
configs() {
    for name in $OWNERS; do
        user_named "$name" || continue
        case $configs_seen in *"$nl$USER_UID|"*) ;; *) add_default_config ;; esac
    done
    for pid in $listener_pids; do
        case " $alike " in *" $pid "*) ;; *) continue ;; esac
        uid=
        {
            while read -r name uid _; do [ "$name" = Uid: ] && break; done <"/proc/$pid/status"
        } 2>/dev/null
        case $configs_seen in *"$nl$uid|"*) continue ;; esac
        user_of "${uid:-x}" && add_default_config
    done
    IFS=$nl
    for line in $configs_seen; do
        unset IFS
        config "${line##*|}" "$line"
    done
    unset IFS
}

add_default_config() {
    configs_seen="$configs_seen$USER_UID|$USER_NAME|$USER_HOME/.openclaw/openclaw.json$nl"
    case $state_dirs in *" $USER_HOME/.openclaw "*) ;; *) state_dirs="$state_dirs$USER_HOME/.openclaw " ;; esac
}

config() { # PATH UID|USER|PATH
    path=$1
    owner_name=${2#*|}
    frame config "${2%%|*}" "${owner_name%%|*}"
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
    settings=$(user_file "$path" 262144 | awk "$config_reader")
    section=
    secrets=
    IFS=$nl
    for line in $settings; do
        case $line in
        secret=*)
            # Lines of one section stand together; only their digest leaves the host.
            line=${line#secret=}
            if [ "${line%%"$us"*}" != "$section" ]; then
                section_digest
                section=${line%%"$us"*}
                secrets=
            fi
            secrets="$secrets${line#*"$us"}$nl"
            ;;
        *) printf '%s\n' "$line" ;;
        esac
    done
    unset IFS
    section_digest
    known_providers
}

section_digest() {
    [ -n "$section" ] || return 0
    digest_of "$secrets"
    echo "hidden=$section $digest"
}

# A reader of JSON5 that knows where it is and prints what checks need: named leaves in the clear,
# everything that may be a secret only towards the digest of its section.
# shellcheck disable=SC2016 # awk's own variables
config_reader='
    function leaf(path, value, section, n, part) {
        if (path ~ /(^|\.)\$include(\.[0-9]+)?$/) print "include=yes"
        if (path == "gateway.mode") print "mode=" value
        else if (path == "gateway.bind") print "bind=" value
        else if (path == "gateway.port") print "port=" value
        else if (path == "gateway.auth.mode") print "auth=" value
        else if (path == "gateway.tls.enabled") print "tls=" value
        else if (path == "agents.defaults.workspace") print "workspace=" value
        else if (path == "agents.defaults.model" || path == "agents.defaults.model.primary") print "primary=" value
        else if (path ~ /^agents\.defaults\.model\.fallbacks\.[0-9]+$/) print "fallback=" value
        else if (path ~ /^channels\.[^.]+\.enabled$/ && value == "false") { split(path, part, "."); print "channel_off=" part[2] }
        if (path ~ /^gateway\.auth\.token(\.|$)/) print "secret_set=token"
        if (path ~ /^gateway\.auth\.password(\.|$)/) print "secret_set=password"
        # What the gateway itself writes, and what differs from host to host by design.
        if (path ~ /^(meta|wizard)\./ || path ~ /^gateway\.auth\.(token|password)/) return
        if (value == "true" || value == "false" || value == "null" || path ~ /^gateway\.(mode|bind|port|auth\.mode|reload\.|controlUi\.(enabled|basePath)|tailscale\.mode|http\.endpoints\.|tls\.enabled)/ || path ~ /^agents\.defaults\.(model\.|model$|workspace$|maxConcurrent|heartbeat\.every|compaction\.mode|sandbox\.mode)/ || path ~ /^(logging\.level|update\.channel|session\.scope)$/)
            print "leaf=" path " " value
        else {
            n = split(path, part, ".")
            section = part[1] (n > 2 ? "." part[2] : "")
            hidden[++hiddens] = section SUBSEP path "=" value
        }
    }
    function entered(parent, key) {
        if (parent == "agents.defaults.models") print "listed=" key
        else if (parent == "models.providers") print "provider=" key
        else if (parent == "channels") print "channel=" key
    }
    function bad(why) { if (!broken) { broken = 1; print "broken=line " NR ": " why } }
    function value_done() { if (kind[depth] == "[") item[depth]++; key = "" }
    function name() { return kind[depth] == "[" ? item[depth] + 0 : key }
    function here(last) { return place[depth] != "" ? place[depth] "." last : last }
    {
        rest = $0
        gsub(/[\r\t]/, " ", rest)
        size += length($0) + 1
        if (NR == 1) sub(/^\357\273\277/, "", rest)
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
                if (!depth && opened) bad("something stands after the end")
                opened = 1
                where = depth ? here(name()) : ""
                depth++
                kind[depth] = c; place[depth] = where; item[depth] = 0; key = ""
                rest = substr(rest, 2)
            } else if (c == "}" || c == "]") {
                if (!depth || kind[depth] != (c == "}" ? "{" : "[")) bad("`" c "` closes nothing")
                if (depth) depth--
                value_done()
                rest = substr(rest, 2)
            } else {
                if (c == "\"" || c == "\047") {
                    value = ""
                    closed = 0
                    rest = substr(rest, 2)
                    while (match(rest, c == "\"" ? "[\"\\\\]" : "[\047\\\\]")) {
                        value = value substr(rest, 1, RSTART - 1)
                        found = substr(rest, RSTART, 1)
                        if (found != "\\") { rest = substr(rest, RSTART + 1); closed = 1; break }
                        value = value substr(rest, RSTART + 1, 1)
                        continued = rest == substr(rest, 1, RSTART)
                        rest = substr(rest, RSTART + 2)
                    }
                    if (!closed && !continued) bad("a text does not end")
                    if (!closed) rest = ""
                } else {
                    if (!match(rest, /^[^] ,:{}[]+/)) { rest = substr(rest, 2); continue }
                    value = substr(rest, 1, RLENGTH)
                    rest = substr(rest, RLENGTH + 1)
                }
                if (!depth) bad("something stands outside of everything")
                if (kind[depth] == "{" && key == "") {
                    key = value
                    entered(place[depth], key)
                } else { leaf(here(name()), value); value_done() }
            }
        }
    }
    END {
        # A file that was cut at the limit of what is read ends nowhere.
        if (!NR) bad("the file is empty")
        else if (!opened) bad("there is no `{`")
        else if (size >= 262144) size = 0
        else if (depth || comment) bad("the file ends in the middle")
        # Sorted by section, so that each makes one digest.
        for (i = 1; i <= hiddens && i <= 2000; i++) {
            split(hidden[i], part, SUBSEP)
            if (!(part[1] in lines)) order[++sections] = part[1]
            lines[part[1]] = lines[part[1]] "secret=" part[1] "\037" part[2] "\n"
        }
        for (i = 1; i <= sections && i <= 24; i++) printf "%s", lines[order[i]]
    }'

# The providers that this installation knows are named in the manifests beside its entry point and
# in those of added plugins. Only the providers of the configured models are looked up there.
known_providers() {
    state=${path%/*}
    for root in $roots; do
        [ -d "$root/dist/extensions" ] || continue
        echo "catalogue=$root/dist/extensions"
        # Users may put something else there: only regular files are opened, and no links.
        manifests=
        set +f
        for file in "$root"/dist/extensions/*/openclaw.plugin.json "$state"/extensions/*/openclaw.plugin.json \
            "$state"/plugins/*/openclaw.plugin.json "$state"/npm/node_modules/*/openclaw.plugin.json \
            "$state"/npm/node_modules/@*/*/openclaw.plugin.json; do
            if [ -f "$file" ] && [ ! -L "$file" ]; then
                case $file in *[[:space:]]*) ;; *) manifests="$manifests $file" ;; esac
            fi
        done
        set -f
        [ -n "$manifests" ] || continue
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
            # shellcheck disable=SC2086
            $limited grep -qsF "\"$provider\"" $manifests && echo "known=$provider"
        done
        unset IFS
        return 0
    done
}
