# shellcheck shell=sh
# shellcheck disable=SC2154,SC2034  # names set in plant
# What differs between versions of the gateway, for plant: sourced after see.sh, whose `serving` it replaces.
# $CLAWFLEET_REAL_VERSION is the version, $gateway_kind (standin|real) who runs.

# A regular expression: what a gateway that finds the port taken says before it ends, and its status.
taken_text() {
  case $CLAWFLEET_REAL_VERSION in
    2026.[123].*) echo 'gateway already running (pid\|another gateway instance is already listening' ;;
    2026.[89].*) echo 'existing gateway is healthy\|gateway.maintenance_required' ;;
    *) echo 'existing gateway is healthy' ;;
  esac
}

taken_status() { case $CLAWFLEET_REAL_VERSION in 2026.[123].*) echo 1 ;; *) echo 78 ;; esac; }

# Up to 3.2 every path answers with the page of the Control UI.
serving() { # [PORT]
  case $(fetch /healthz "${1:-$port}") in
    '{"ok":true,"status":"live"}' | *'<title>OpenClaw Control</title>'*) return 0 ;;
  esac
  return 1
}

# JSON to go behind other keys of the configuration: without internet, a model of an outside plugin would
# make the start wait for npm.
offline_model='"agents":{"defaults":{"model":{"primary":"p2/m2"}}},"models":{"mode":"merge","providers":{"p2":{"baseUrl":"http://127.0.0.1:9902/v1","apiKey":"mock","api":"openai-completions","models":[{"id":"m2","name":"m2"}]}}}'
