#!/usr/bin/env bash
# Assembles the root file system of the image: the two programs, the shared libraries that they link to, and the files that
# name resolution needs. Nothing else is in it: no shell, no package manager, no root certificates.
#
# The Dockerfile runs this in its build stage, and test-rootfs.sh on a machine without a container engine.
set -euo pipefail

readonly UID_GID=65532:65532

complain() {
    printf 'rootfs.sh: %s\n' "$*" >&2
    exit 2
}

[[ $# -eq 2 ]] || complain "usage: rootfs.sh BINDIR TARGET (the folder with epm-lab and epm-agent; a folder to make)"
readonly bindir=$1 target=$2
[[ $EUID -eq 0 ]] || complain "needs root, to give two folders to $UID_GID"
[[ ! -e $target ]] || complain "$target is there already; name a folder to make"

# Since 2.34 glibc resolves names from files and DNS without loading further libraries, which `ldd` would not list.
glibc=$(getconf GNU_LIBC_VERSION) || complain "this needs glibc"
glibc=${glibc#glibc }
[[ $(printf '%s\n' 2.34 "$glibc" | sort -V | head -n 1) == 2.34 ]] || complain "needs glibc 2.34 or later, found $glibc"

# The paths of the libraries and of the loader, from lines like
#   libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f...)    and    /lib64/ld-linux-x86-64.so.2 (0x00007f...)
libraries() {
    local named
    named=$(ldd "$@")
    ! grep -F 'not found' <<<"$named" >&2 || complain "a library is missing"
    sed -nE 's,^[[:space:]]*(.* => )?(/[^ ]+) \(0x[0-9a-f]+\)$,\2,p' <<<"$named" | sort -u
}

umask 022
mkdir -p "$target"
chmod 0755 "$target"
for program in epm-lab epm-agent; do
    [[ -x $bindir/$program ]] || complain "$bindir holds no program $program"
    install -D -m 0555 "$bindir/$program" "$target/usr/bin/$program"
done
needed=$(libraries "$bindir/epm-lab" "$bindir/epm-agent")
while read -r library; do
    install -D -m 0555 "$library" "$target$library"
done <<<"$needed"

install -d -m 0755 "$target/etc"
printf 'lab:x:65532:65532:lab:/lab:/nonexistent\n' >"$target/etc/passwd"
printf 'lab:x:65532:\n' >"$target/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$target/etc/nsswitch.conf"
chmod 0444 "$target"/etc/*

install -d -m 1777 "$target/tmp"
# Mount points for volumes: the files that a manager exports, and the state of a client. A new named volume takes over their owner.
install -d -m 0755 "$target/lab"
install -d -m 0700 "$target/state"
chown "$UID_GID" "$target/lab" "$target/state"
