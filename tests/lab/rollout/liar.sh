#!/bin/bash
# Every command of a login comes through here (sshd's ForceCommand). In one step the host answers as
# /etc/lab-liar wants; in all others it does what it is asked.
script=$(cat && echo .)
script=${script%.}
read -r lies_at how </etc/lab-liar
named() { sed -n "s/^$1=[^0-9a-z]*\([0-9a-z]*\).*/\1/p" <<<"$script" | head -n 1; }
step=$(named STEP)
nonce=$(named N)
if [ "$step" != "$lies_at" ]; then
    printf %s "$script" | /bin/sh -c "$SSH_ORIGINAL_COMMAND"
    exit
fi
frame() { printf '\n@%s %s\n' "$nonce" "$*"; }
case $step in prepare) good=prepared ;; apply) good=applied ;; disarm) good=kept ;; undo) good=undone ;; look) good=applied ;; esac
case $how in
silence) ;;
hang) sleep 300 ;;
noise) head -c 3000000 /dev/urandom ;;
endless) yes "@$nonce answer applied" | head -c 300000000 ;;
foreign)
    nonce=0123456789abcdef0123456789abcdef
    frame answer "$good"
    frame end
    ;;
good)
    case $step in
    prepare | apply) frame answer "$good" ;;
    *)
        frame state "$good"
        echo armed=no
        echo 'file=new /etc/systemd/system/openclaw-gateway.service.d/50-clawfleet.conf'
        ;;
    esac
    frame end
    ;;
contrary)
    # A state that cannot be, twice, and numbers that are none.
    frame state none
    frame state undo-broke
    printf 'why=\033]0;owned\007\033[2J\nmain-pid=99999999999999999999\nfile=\nfile=new\n'
    frame answer drifted
    printf 'why=%s\n' "$(head -c 100000 /dev/zero | tr '\0' A)"
    frame end
    frame end
    ;;
esac
