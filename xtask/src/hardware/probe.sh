# Runs on the probed machine with any POSIX sh, and changes nothing there. Reads /proc and /sys
# with shell builtins, and runs other programs only if they exist.
# hardware/probe_output.rs parses the output: sections, each after a line `#llamafleet NAME`.
# $1 is an optional further script, which runs instead of the slow vulkaninfo.
LC_ALL=C
export LC_ALL
# Directories of a login shell's PATH that a command over SSH may not have.
given=$PATH
PATH=$PATH:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:/usr/bin:/usr/sbin
# WSL: Windows' driver installs nvidia-smi here.
PATH=$PATH:/usr/lib/wsl/lib
section() { printf '\n#llamafleet %s\n' "$1"; }
has() { command -v "$1" >/dev/null 2>&1; }
show() {
    [ -r "$1" ] || return 0
    if has cat; then
        cat "$1"
    else
        while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done <"$1"
    fi 2>/dev/null
}
# Prints a file with one line as NAME=VALUE.
value() { word "$@" && printf '\n'; }
# The same without the newline.
word() {
    [ -r "$2" ] && IFS= read -r line <"$2" && printf '%s=%s' "$1" "$line"
} 2>/dev/null
# A timeout, because a program may hang in its driver.
try() {
    if has timeout; then timeout 20 "$@"; else "$@"; fi </dev/null 2>/dev/null
}

section cpuinfo
show /proc/cpuinfo
section cores
for list in online present; do value "$list" "/sys/devices/system/cpu/$list"; done
for kind in core atom lowpower; do value "$kind" "/sys/devices/cpu_$kind/cpus"; done
[ -d /sys/devices/system/node ] && printf 'numa=yes\n'
value quota /sys/fs/cgroup/cpu.max
while read -r name list; do
    [ "$name" = Cpus_allowed_list: ] && printf 'allowed=%s\n' "$list"
done 2>/dev/null </proc/self/status
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
    [ -r "$cpu/topology" ] || continue
    printf 'cpu=%s' "${cpu##*/cpu}"
    word ' package' "$cpu/topology/physical_package_id"
    word ' capacity' "$cpu/cpu_capacity"
    word ' max' "$cpu/cpufreq/cpuinfo_max_freq"
    printf '\n'
done
# Not with `read`: these files are empty if read byte by byte, as dash does.
section siblings
has cat && cat /sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list 2>/dev/null
section nodes
has cat && cat /sys/devices/system/node/node[0-9]*/cpulist 2>/dev/null
section meminfo
show /proc/meminfo
section kernel
show /proc/sys/kernel/osrelease
section nix
has nix && try nix --version

section pci
# A container may have no /sys.
[ -d /sys/class ] || printf 'UNSEEN\n'
for device in /sys/bus/pci/devices/*; do
    IFS= read -r class <"$device/class" || continue
    case $class in
    0x03* | 0x12*) ;;
    *) continue ;;
    esac 2>/dev/null
    show "$device/uevent"
    value VRAM "$device/mem_info_vram_total"
    value PRODUCT "$device/product_name"
    for node in "$device"/drm/renderD*; do
        [ -e "$node" ] && printf 'RENDER=%s\n' "${node##*/}"
    done
    printf '\n'
done 2>/dev/null

section drm
for node in /sys/class/drm/renderD*; do
    # Devices on PCI are listed above.
    [ -r "$node/device/uevent" ] && [ ! -e "$node/device/vendor" ] || continue
    show "$node/device/uevent"
    printf '\n'
done 2>/dev/null

section kfd
for node in /sys/class/kfd/kfd/topology/nodes/*; do
    [ -r "$node/properties" ] || continue
    printf 'node %s\n' "${node##*/}"
    IFS= read -r name <"$node/name" && printf 'name %s\n' "$name"
    show "$node/properties"
done 2>/dev/null

section nvidia-smi
if has nvidia-smi; then
    fields=driver_version,memory.total
    try nvidia-smi --query-gpu=name,compute_cap,$fields --format=csv ||
        # Before driver 510 there is no compute_cap.
        try nvidia-smi --query-gpu=name,$fields --format=csv
fi
section nvidia-list
has nvidia-smi && try nvidia-smi -L
section devicetree
for file in model compatible; do show "/proc/device-tree/$file" && printf '\n'; done
section nvidia
show /proc/driver/nvidia/version
for gpu in /proc/driver/nvidia/gpus/*; do
    show "$gpu/information"
done

if [ "$#" -gt 0 ]; then
    eval "$1"
else
    section vulkan
    has vulkaninfo && try vulkaninfo --summary
fi

section end
exit 0
