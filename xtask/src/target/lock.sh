# Runs on the target with any POSIX sh: sh -c THIS llamafleet DESCRIPTION [wait]
# Holds the lock of the machine's own `bench local` until standard input ends, as it does
# when the connection ends. system/machine_lock.rs locks the same file with flock(2).
dir="${XDG_CACHE_HOME:-$HOME/.cache}/llamafleet/locks"
file="$dir/bench-local.lock"
if ! command -v flock >/dev/null 2>&1 || ! mkdir -p -- "$dir" || ! true >>"$file"; then
    echo unlocked
    exit 0
fi 2>/dev/null
exec 9<>"$file"
if ! flock -n 9; then
    printf '\nbusy %s\n' "$(head -n 1 "$file")"
    [ "$2" = wait ] || exit 0
    # Ends with the connection also while it waits.
    exec 3<&0
    flock 9 3<&- &
    waiting=$!
    { while read -r _; do :; done <&3; kill "$waiting"; } 2>/dev/null &
    watching=$!
    wait "$waiting" || exit 0
    kill "$watching" 2>/dev/null
fi
printf '%s\n' "$1" >"$file"
# On its own line, even if the login shell printed an incomplete one.
printf '\nlocked\n'
while read -r _; do :; done
