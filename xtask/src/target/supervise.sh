# Runs on the target, under any POSIX sh: sh -c THIS llamafleet SECONDS PROGRAM ARG…
# The program ends when standard input does, and that ends when the other side
# goes away: Ctrl-C, a kill, a connection that breaks. Its exit status is ours.
limit=$1
shift
exec 3<&0
# For a connection that breaks without a word: an end all the same.
if command -v timeout >/dev/null 2>&1; then
    set -- timeout -k 5 "$limit" "$@"
fi
"$@" 3<&- </dev/null &
child=$!
# timeout makes a process group of itself and the program.
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
