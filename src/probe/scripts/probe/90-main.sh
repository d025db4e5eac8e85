# --- all of it --------------------------------------------------------------------------------

main() {
    start_watchdog
    listener_pids=
    hello
    find_users
    # shellcheck disable=SC2086
    unit_files system '' 0 /root $system_dirs
    # shellcheck disable=SC2086
    set -- $users
    for entry; do
        IFS=:
        # shellcheck disable=SC2086
        files_of $entry
        unset IFS
    done
    sockets
    processes
    system_units
    user_units
    frame units
    vanished
    installed
    configs
    modes
    disks
    frame core
    custom_checks
    frame end
    stop_watchdog
}

files_of() { # USER UID GID HOME
    unset IFS
    unit_files user "$1" "$2" "$4" "/run/user/$2/systemd/transient" "$4/.config/systemd/user" \
        /etc/systemd/user /run/systemd/user "$4/.local/share/systemd/user" /usr/local/lib/systemd/user /usr/lib/systemd/user
}

# Everything above is only defined until here: a script that arrives cut off does nothing.
main </dev/null
