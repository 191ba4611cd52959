#!/bin/sh
# Starts the cold backend's server and ends when it is ready. May be called twice at once: the second call waits.
set -eu

program='@PROGRAM@'
namespace='@NAMESPACE@'
address='@ADDRESS@'
address6='@ADDRESS6@'
load_time='@LOAD_TIME@'
model='@MODEL@'
data='@DATA@'
pid_file='@PID_FILE@'
server_log='@SERVER_LOG@'
script_log='@SCRIPT_LOG@'

say() {
    echo "start-cold: $*"
    echo "$(date +%T) start-cold: $*" >>"$script_log"
}

running() {
    # Not kill -0: to that a zombie still runs.
    [ -s "$pid_file" ] && [ -e "/proc/$(cat "$pid_file")/exe" ]
}

exec 9>"$pid_file.lock"
flock 9

if [ ! -r "$model/VERSION" ]; then
    say "no model in $model"
    exit 1
fi

if running; then
    say "runs already, pid $(cat "$pid_file")"
else
    setsid nsenter --net="$namespace" "$program" server --name cold --listen "$address" --listen "$address6" \
        --load-time "$load_time" --version "$(cat "$model/VERSION")" --data "$data" </dev/null >>"$server_log" 2>&1 9>&- &
    echo $! >"$pid_file"
    say "started, pid $(cat "$pid_file"), loading $load_time"
fi

# Bounded by whoever calls: the time limit is a matter of the configuration.
until curl --silent --fail --max-time 1 --output /dev/null "http://$address/health"; do
    running || { say "ended before it was ready, see $server_log"; exit 1; }
    sleep 0.1
done
say "ready"
