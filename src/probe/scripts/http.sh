# shellcheck shell=sh
# What it emits: one frame `http` with status=, ms=, body= lines, or failed= / not_asked=.
# What it needs: curl, wget or bash, whichever the host has; for TLS curl, openssl or wget.
# The controller sets before it: N (nonce), SCHEME (http or https), ADDRESS, PORT, HEALTH_PATH, LIMIT_S.
# Any certificate is taken: the gateway's is self-signed, and the connection never leaves the host.
set -u
LC_ALL=C
export LC_ALL
PATH="${PATH:-/usr/bin:/bin}:/usr/sbin:/usr/bin:/sbin:/bin"

now_ms() {
    # Seconds are all that a host without GNU date can tell.
    ms=$(date +%s%3N)
    case $ms in *[!0-9]*) ms=$(date +%s)000 ;; esac
    echo "$ms"
}

ask_bash() {
    # shellcheck disable=SC2016
    timeout "$LIMIT_S" bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 7
        printf "GET %s HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n" "$3" >&3
        head -c 4096 <&3' - "$ADDRESS" "$PORT" "$HEALTH_PATH" 2>/dev/null
}

ask_openssl() {
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$HEALTH_PATH" |
        timeout "$LIMIT_S" openssl s_client -quiet -connect "$1:$PORT" 2>/dev/null |
        head -c 4096
}

main() {
    printf '\n@%s http\n' "$N"
    begin=$(now_ms)
    if command -v curl >/dev/null 2>&1; then
        case $ADDRESS in *:*) host="[$ADDRESS]" ;; *) host=$ADDRESS ;; esac
        answer=$(curl -sS -i -k --noproxy '*' --max-time "$LIMIT_S" --max-filesize 65536 "$SCHEME://$host:$PORT$HEALTH_PATH" 2>/dev/null)
        code=$?
        case $code in 7) code=refused ;; 28) code=timeout ;; esac
    elif [ "$SCHEME" = http ] && command -v bash >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1; then
        answer=$(ask_bash)
        code=$?
        case $code in 7) code=refused ;; 124) code=timeout ;; esac
    elif [ "$SCHEME" = https ] && command -v openssl >/dev/null 2>&1 && command -v timeout >/dev/null 2>&1; then
        case $ADDRESS in *:*) host="[$ADDRESS]" ;; *) host=$ADDRESS ;; esac
        answer=$(ask_openssl "$host")
        code=$?
        # Of a pipe only the last status is known; how long it took tells silence from a broken end.
        if [ -z "$answer" ]; then
            code=1
            [ $(($(now_ms) - begin)) -lt $((LIMIT_S * 1000)) ] || code=timeout
        fi
    elif command -v wget >/dev/null 2>&1; then
        case $ADDRESS in *:*) host="[$ADDRESS]" ;; *) host=$ADDRESS ;; esac
        # Not every wget knows the option, and those that do not check nothing.
        any=''
        [ "$SCHEME" = https ] && wget --help 2>&1 | grep -q no-check-certificate && any=--no-check-certificate
        answer=$(http_proxy='' https_proxy='' wget -q ${any:+"$any"} -T "$LIMIT_S" -O - "$SCHEME://$host:$PORT$HEALTH_PATH" 2>/dev/null)
        code=$?
        [ "$code" = 0 ] && answer="HTTP/1.0 200 OK

$answer"
    else
        echo "not_asked=forwarding is refused, and the host has no client that could ask"
        printf '\n@%s end\n' "$N"
        return
    fi
    echo "ms=$(($(now_ms) - begin))"
    if [ "$code" != 0 ]; then
        case $code in
        refused | timeout) echo "failed=$code" ;;
        *) echo "failed=the client on the host ended with $code" ;;
        esac
    else
        printf '%s\n' "$answer" | tr -d '\r' | head -c 4096 | awk '
            NR == 1 { print "status=" $2; next }
            !body { if ($0 == "") body = 1; next }
            { print "body=" $0 }'
    fi
    printf '\n@%s end\n' "$N"
}

main </dev/null
