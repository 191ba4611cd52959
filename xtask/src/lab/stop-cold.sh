#!/bin/sh
# Stops the cold backend's server. Nothing to stop is no error.
set -eu

pid_file='@PID_FILE@'
script_log='@SCRIPT_LOG@'

say() {
    echo "stop-cold: $*"
    echo "$(date +%T) stop-cold: $*" >>"$script_log"
}

running() {
    # Not kill -0: to that a zombie still runs.
    [ -s "$pid_file" ] && [ -e "/proc/$(cat "$pid_file")/exe" ]
}

exec 9>"$pid_file.lock"
flock 9

if ! running; then
    say "does not run"
    exit 0
fi
pid=$(cat "$pid_file")
kill "$pid"
while running; do
    sleep 0.1
done
rm -f "$pid_file"
say "stopped, pid $pid"
