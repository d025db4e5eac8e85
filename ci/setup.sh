# shellcheck shell=bash
# Sourced by ci/test and ci/demo: what they need on a machine with nothing installed.

say() { printf '\n== %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

need_root_on_debian() {
    [ "$(id -u)" = 0 ] || die "run it as root: it boots systemd hosts in namespaces of their own"
    command -v apt-get >/dev/null || die "it installs Debian packages, and this machine has no apt-get"
}

# need_packages COMMAND=PACKAGE…: installs the packages whose command is missing.
need_packages() {
    local missing=() pair
    for pair; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { apt-get update -q >/dev/null && apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null; } ||
        die "apt-get could not install: ${missing[*]}"
}

# promtool comes in a package that starts a server when it is installed; so it is only unpacked, and
# nothing of it runs but promtool.
need_promtool() {
    local dir=$PWD/target/tools/prometheus
    command -v promtool >/dev/null && return
    if [ ! -x "$dir/usr/bin/promtool" ]; then
        say "fetching promtool"
        rm -rf "$dir"
        mkdir -p "$dir"
        (
            cd "$dir"
            apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }
            dpkg -x prometheus_*.deb .
            rm prometheus_*.deb
        ) >/dev/null 2>&1 || die "apt-get could not fetch the package prometheus, which has promtool"
    fi
    PATH=$dir/usr/bin:$PATH
}

# The oldest Rust that builds this is `rust-version` in Cargo.toml.
need_rust() {
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    [ -x "$HOME/.cargo/bin/cargo" ] && PATH="$HOME/.cargo/bin:$PATH"
    if ! command -v cargo >/dev/null; then
        need_packages rustup=rustup
        rustup default stable >/dev/null 2>&1 || die "rustup could not install a toolchain; install Rust $wanted or newer"
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    have=$(cargo --version | awk '{ print $2 }')
    if [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
        die "cargo is $have, and Rust $wanted or newer is needed"
    fi
}
