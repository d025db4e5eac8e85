# shellcheck shell=sh disable=SC2154
# What every script of `run` and `copy` begins with. It runs as whoever the command is to run as.
# What it needs: a POSIX sh, and for ending a command: cat, grep, awk, sleep, setsid and /proc.
# The controller sets before it: clawfleet_n, which marks what this script says and which no command
# learns. No name of a variable here can be one that the login exports, or the command would see it changed.
set -u

# Both streams are told, each for itself, where the command's output begins: nobody knows which comes first.
clawfleet_go() {
    printf '@%s go %s\n' "$clawfleet_n" "$*"
    printf '@%s go %s\n' "$clawfleet_n" "$*" >&2
}

# The last thing that is said, on standard error.
clawfleet_end() { printf '\n@%s end %s\n' "$clawfleet_n" "$*" >&2; }
