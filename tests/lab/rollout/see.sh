# What the tests of rollouts look at on a host, a fact a line. Nothing of it is clawfleet's own word.
set -f
unit=openclaw-gateway.service
for place in /etc/systemd/system /home/claw/.config/systemd; do
    [ -d "$place" ] || continue
    find "$place" -printf 'file %y %m %U:%G %p -> %l\n'
    find "$place" -type f -exec sha256sum {} + | sed 's/^/file /'
done
# A run may keep what it replaced, and its log. Whatever acts, waits or stands in the way is left behind.
find /etc/systemd /run/systemd /home/claw/.config /run/user /tmp /var/tmp \( -name '*clawfleet-undo*' -o -name '.*.clawfleet-*' \) \
    -printf 'left %p\n' 2>/dev/null
find /var/lib/clawfleet /home/claw/.local/state/clawfleet -maxdepth 1 \( -name lock -o -name '.lock*' \) \
    -printf 'left %p\n' 2>/dev/null
users() {
    setpriv --reuid=claw --regid=claw --init-groups env XDG_RUNTIME_DIR=/run/user/1501 systemctl --user "$@" 2>/dev/null
}
systemctl list-units --all --plain --no-legend 'clawfleet-*' | sed 's/^/left unit /'
# The gateway's manager: the system's, or that of claw where the unit is claw's.
manager=systemctl
drop_in=/etc/systemd/system/$unit.d/50-clawfleet.conf
if [ ! -e /etc/systemd/system/$unit ]; then
    manager=users
    drop_in=/home/claw/.config/systemd/user/$unit.d/50-clawfleet.conf
    users list-units --all --plain --no-legend 'clawfleet-*' | sed 's/^/left user unit /'
fi
$manager show -p ActiveState -p MainPID -p NRestarts -p NeedDaemonReload $unit | sed 's/^/gateway /'
echo "gateway stop-timeout=$($manager show -p TimeoutStopUSec --value $unit)"
echo "gateway unit-file=$($manager is-enabled $unit 2>/dev/null)"
pid=$(ss -Htlnp 'sport = :18789' | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | head -n 1)
echo "gateway holder=$pid"
own=$(tr '\0' '\n' <"/proc/${pid:-self}/environ" | grep -E '^(LAB|STANDIN)_')
echo "gateway environment=$(echo $own)"
echo "gateway new=$(echo "$own" | sed -n 's/^LAB_NEW=//p')"
echo "gateway http=$(bash -c '
    exec 3<>/dev/tcp/127.0.0.1/18789 && printf "GET /healthz HTTP/1.0\r\n\r\n" >&3 && timeout 5 cat <&3' 2>/dev/null |
    grep -o '"status":"live"' | cut -d'"' -f4)"
if [ -f $drop_in ]; then sum=$(sha256sum <$drop_in); else sum=-; fi
echo "gateway drop-in=${sum%% *}"
