# Runs on the target with any POSIX sh: sh -c THIS llamafleet SECONDS PROGRAM ARG…
# Ends the program when standard input ends, which it does at Ctrl-C, at a kill and when the
# connection breaks. Exits with the program's exit status.
limit=$1
shift
exec 3<&0
# A limit in case the connection breaks unnoticed.
if command -v timeout >/dev/null 2>&1; then
    set -- timeout -k 5 "$limit" "$@"
fi
"$@" 3<&- </dev/null &
child=$!
# timeout creates a process group for itself and the program.
end() {
    kill -s "$1" -- "-$child" 2>/dev/null || kill -s "$1" "$child" 2>/dev/null
}
{
    while read -r _; do :; done
    end TERM
    tries=0
    while [ "$tries" -lt 5 ] && kill -0 "$child" 2>/dev/null; do
        sleep 1
        tries=$((tries + 1))
    done
    end KILL
} <&3 3<&- >/dev/null 2>&1 &
watcher=$!
exec 3<&-
trap 'end TERM' HUP INT TERM
# A trap interrupts wait while the program still runs.
while :; do
    wait "$child"
    status=$?
    kill -0 "$child" 2>/dev/null || break
done
kill "$watcher" 2>/dev/null
exit "$status"
