#!/usr/bin/env bash
# Checks this kit, then starts FLARE from it. Without arguments FLARE runs in the background and is started again if it
# ends; with --once it stays in the foreground (containers, systemd). Run it inside the environment that holds fedefm.
set -euo pipefail
umask 077
KIT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"  # as the system names it, whatever links lead here
cd "$KIT/startup" # Python looks for modules here first, and every file here is in the signed manifest
export NVFLARE_SECURE_LOGGING=true

command -v fedefm >/dev/null || { echo "fedefm: not found; activate its environment: source .../bin/activate" >&2; exit 2; }
fedefm doctor "$KIT" --offline
# What runs is looked for among the processes: FLARE takes a number in daemon_pid.fl that another program has by now for
# itself, and starts nothing.
fedefm site clear "$KIT" || { code=$?; [[ $code == 9 ]] && exit 0; exit "$code"; }

if [[ " $* " == *" --once "* ]]; then
  exec ./sub_start.sh "$@"
fi
rm -f "$KIT/shutdown.fl"
nohup ./sub_start.sh "$@" </dev/null >"$KIT/console.txt" 2>&1 &
fedefm site wait "$KIT"
echo "what it does: $KIT/log.txt; how it is: fedefm site status $KIT"
