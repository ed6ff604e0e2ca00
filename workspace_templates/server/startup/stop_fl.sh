#!/usr/bin/env bash
# Stops what start.sh started in the background, within a minute, without a question.
set -euo pipefail
KIT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"  # as the system names it, whatever links lead here

# The shell of start.sh, which runs in the kit's own folder: the number alone may be another program's by now.
running() { [[ -f "$KIT/daemon_pid.fl" && "$(readlink "/proc/$(<"$KIT/daemon_pid.fl")/cwd")" == "$KIT/startup" ]]; }

running || { echo "nothing runs from $KIT"; exit 0; }
touch "$KIT/shutdown.fl"
for _ in {1..60}; do
  running || { echo "stopped"; exit 0; }
  sleep 1
done
echo "still running after 60 s: end process $(<"$KIT/daemon_pid.fl") by hand" >&2
exit 1
