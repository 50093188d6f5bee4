# Runs on the machine that becomes a host with any POSIX sh, and changes nothing there.
# new_host/machine.rs parses the output: sections, each after a line `#llamafleet NAME`.
LC_ALL=C
export LC_ALL
PATH=$PATH:/run/current-system/sw/bin:/usr/bin:/usr/sbin:/sbin
section() { printf '\n#llamafleet %s\n' "$1"; }
has() { command -v "$1" >/dev/null 2>&1; }
try() {
    if has timeout; then timeout 20 "$@"; else "$@"; fi </dev/null 2>/dev/null
}
show() { [ -r "$1" ] && try cat "$1"; }

section os-release
show /etc/os-release
section hardware
has nixos-generate-config && try nixos-generate-config --show-hardware-config

section boot
[ -d /sys/firmware/efi ] && echo efi
# Readable by all users, unlike /boot; encoded as UTF-16.
for info in /sys/firmware/efi/efivars/LoaderInfo-*; do
    [ -r "$info" ] && tr -d '\000' <"$info" 2>/dev/null | grep -o 'systemd-boot'
done
for folder in /boot /efi /boot/efi; do
    [ -e "$folder/loader/loader.conf" ] && echo systemd-boot
done
[ -e /boot/grub/grub.cfg ] && echo grub
[ -e /boot/extlinux/extlinux.conf ] && echo extlinux
section mounts
show /proc/mounts
section disk
# The disk of / or /boot, for a boot loader in the boot sector.
for place in /boot /; do
    source=$(try findmnt -no SOURCE "$place") || continue
    parent=$(try lsblk -ndo PKNAME "$source") && [ -n "$parent" ] && echo "/dev/$parent" && break
    [ "$(try lsblk -ndo TYPE "$source")" = disk ] && echo "$source" && break
done
section hostid
has hostid && try hostid

section me
id -un
section passwd
show /etc/passwd
section group
show /etc/group
section keys
keys() {
    for file in "$2/.ssh/authorized_keys" "/etc/ssh/authorized_keys.d/$1"; do
        [ -r "$file" ] || continue
        echo "user $1"
        try cat "$file"
        echo
    done
}
keys "$(id -un)" "$HOME"
while IFS=: read -r name _ _ _ _ home _; do
    [ "$home" = "$HOME" ] || keys "$name" "$home"
done </etc/passwd
section sshd
# Only root can run sshd -T.
{ has sshd && try sshd -T; } || show /etc/ssh/sshd_config

section network
[ -d /run/NetworkManager ] && echo networkmanager
[ -d /run/systemd/netif/links ] && echo networkd
section addresses
has ip && try ip -o addr show scope global
section routes
has ip && try ip route show default
section nameservers
show /etc/resolv.conf
section timezone
try readlink /etc/localtime
section locale
show /etc/locale.conf
show /etc/default/locale
section console
show /etc/vconsole.conf
section nixos
if [ -e /etc/nixos/flake.nix ]; then
    echo flake
else
    for file in /etc/nixos/*.nix; do
        [ -r "$file" ] || continue
        echo "file ${file##*/}"
        # Prevents lines that look like a section.
        sed 's/^/|/' "$file"
    done
fi
section end
exit 0
