# Part of probe.sh for bench, which evaluates it with its own functions.
# $2: the directory of the target's store; $3: the program through which Nix copies into it,
# empty if nothing is copied. bench/target_state.rs parses the output.
room() {
    dir=$2
    case $dir in /*) ;; *) return ;; esac
    while [ -n "$dir" ] && [ ! -d "$dir" ]; do dir=${dir%/*}; done
    has df && printf '%s %s\n' "$1" "$(df -Pk "${dir:-/}" | tail -n 1)"
} 2>/dev/null

section load
show /proc/loadavg
section governor
for file in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do value governor "$file"; done
value driver /sys/devices/system/cpu/cpu0/cpufreq/scaling_driver
section throttle
for file in /sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count; do
    value "${file##*/}" "$file"
done
section power
for supply in /sys/class/power_supply/*; do
    [ -d "$supply" ] || continue
    printf '\n'
    value type "$supply/type"
    value online "$supply/online"
    value status "$supply/status"
    value scope "$supply/scope"
done
section memory-limit
value limit /sys/fs/cgroup/memory.max
value used /sys/fs/cgroup/memory.current
section oom
while read -r name count; do
    [ "$name" = oom_kill ] && printf 'oom_kill=%s\n' "$count"
done </proc/vmstat 2>/dev/null
section devices
for node in /dev/kfd /dev/dri/renderD* /dev/nvidiactl /dev/dxg; do
    [ -e "$node" ] || continue
    if [ -r "$node" ] && [ -w "$node" ]; then
        printf 'usable %s\n' "$node"
    else
        printf 'forbidden %s\n' "$node"
    fi
done
section vulkan-drivers
for dir in /run/opengl-driver/share /usr/share /usr/local/share /etc; do
    for file in "$dir"/vulkan/icd.d/*.json; do
        [ -r "$file" ] && printf '%s\n' "$file"
    done
done
for file in "${VK_DRIVER_FILES-}" "${VK_ICD_FILENAMES-}"; do
    [ -n "$file" ] && printf '%s\n' "$file"
done
section gpu-state
if has nvidia-smi; then
    try nvidia-smi --query-gpu=memory.free,clocks_throttle_reasons.active \
        --format=csv,noheader,nounits
fi
section benches
# llama-bench processes of other users, which this user's lock does not exclude.
me=$(id -u)
for process in /proc/[0-9]*; do
    { IFS= read -r name <"$process/comm"; } 2>/dev/null || continue
    [ "$name" = llama-bench ] || continue
    while read -r field user _; do
        [ "$field" = Uid: ] && [ "$user" != "$me" ] &&
            printf '%s %s\n' "${process#/proc/}" "$(id -nu "$user" || printf '%s' "$user")"
    done <"$process/status"
done 2>/dev/null
section room
room store "$2"
room cache "${XDG_CACHE_HOME:-${HOME:-/}/.cache}"
section store
if [ -n "$3" ]; then
    printf 'asked\n'
    (
        # Uses the PATH of a command over SSH.
        PATH=$given
        command -v -- "$3" >/dev/null 2>&1 && printf 'program\n'
    )
    [ -S "$2/../var/nix/daemon-socket/socket" ] && printf 'daemon\n'
    [ -w "$2" ] && printf 'writable\n'
    [ -e "$2" ] && printf 'there\n'
    # The daemon only serves this store.
    [ "$2" = /nix/store ] && has nix && try nix --extra-experimental-features nix-command store ping --json
fi
