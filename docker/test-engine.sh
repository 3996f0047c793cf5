#!/usr/bin/env bash
# Tests the image, both compose files and the Pods of the Kubernetes manifests with a real engine, podman: needs root, buildah, podman
# with netavark, runc, catatonit and iptables, and PostgreSQL's programs, all from Debian's packages, and podman-compose from PyPI.
#
#   docker/test-engine.sh BINDIR     takes the programs in that folder, built with the feature postgres
#
# No registry is asked: the built programs take the place of the Dockerfile's compiling stage, and an image of this machine's own
# PostgreSQL that of `postgres:16`. Nothing is left behind: images, containers and networks are in a temporary folder.
# Exit codes: 0 success, 1 a check failed, 2 something is missing.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
readonly here
# Seconds. Only limits: a busy machine takes longer.
readonly HEALTHY=180 WELL=180 ROTATED=400

say() { printf 'test-engine: %s\n' "$*"; }
fail() {
    printf 'test-engine: FAILED: %s\n' "$*" >&2
    exit 1
}
missing() {
    printf 'test-engine: %s\n' "$*" >&2
    exit 2
}

[[ $# -eq 1 && -x $1/epm-lab && -x $1/epm-agent ]] || missing "usage: test-engine.sh BINDIR (the folder with epm-lab and epm-agent)"
[[ $EUID -eq 0 ]] || missing "needs root"
for tool in buildah podman runc iptables python3; do
    command -v "$tool" >/dev/null || missing "$tool is missing"
done
initdb=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || missing "PostgreSQL is missing"
bindir=$(realpath "$1")

place=$(mktemp -d)
readonly place
export CONTAINERS_CONF=$place/containers.conf CONTAINERS_STORAGE_CONF=$place/storage.conf
ended() {
    # With the storage of this test alone: other containers of this machine stay.
    {
        podman pod rm --all --force --time 0
        podman rm --all --force --volumes --time 0
        podman network prune --force
        # What is still mounted.
        awk -v place="$place/" 'index($2, place) == 1 { print $2 }' /proc/mounts | sort --reverse | xargs --no-run-if-empty umount --lazy
        rm -rf --one-file-system -- "$place"
    } >/dev/null 2>&1 || true
}
trap ended EXIT

# This machine may neither raise limits nor have systemd.
cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$place/libpod"
image_default_transport = "docker://"
volume_path = "$place/volumes"
[network]
network_backend = "netavark"
network_config_dir = "$place/networks"
CONF
cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "vfs"
graphroot = "$place/storage"
runroot = "$place/run"
CONF

environment=$here/../target/engine
if [[ ! -x $environment/bin/podman-compose ]]; then
    python3 -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check podman-compose==1.6.0
fi

# Runs a command; prints what it said if it fails, without what an engine says that has no systemd.
quietly() {
    "$@" >"$place/said" 2>&1 || fail "$*: $(grep -v 'systemd\|to syslog\|condition check' "$place/said")"
}

# Waits for a command to succeed.    await SECONDS WHAT COMMAND..
await() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >"$place/awaited" 2>&1; do
        ((SECONDS < until)) || fail "waited in vain for $what; the last time: $(cat "$place/awaited") $(logs)"
        sleep 0.2
    done
}

logs() {
    local name
    for name in $(podman ps --all --format '{{.Names}}' 2>/dev/null); do
        printf '\n--- %s\n' "$name"
        podman logs --tail 15 "$name" 2>&1 | grep -v 'systemd\|to syslog' || true
    done
}

state() { podman inspect --format "{{.State.$2}}" "$1"; }
is_running() { [[ $(state "$1" Status) == running ]]; }
# Without systemd the engine does not ask by itself whether a container is healthy.
is_healthy() { podman healthcheck run "$1"; }

# ---- images ----------------------------------------------------------------------------------------------------------

mkdir "$place/build" "$place/project" "$place/project/docker"
"$here/rootfs.sh" "$bindir" "$place/build/rootfs"
quietly buildah bud --isolation chroot --format docker --build-context "build=$place/build" --file "$here/Dockerfile" \
    --tag epm-lab:local "$here/.."
say "image: built from the Dockerfile, with programs that were built before"

# What the registry's image does at its start, as far as the compose file and the manifests need it.
database_image() {
    local root=$place/database bin library program
    bin=$(dirname "$initdb")
    mkdir -p "$root"/{bin,etc,usr/bin,usr/share/postgresql} "$root$bin"
    for program in initdb postgres pg_isready; do cp "$bin/$program" "$root$bin"; done
    cp -r "$(dirname "$bin")/lib" "$root$(dirname "$bin")/lib"
    mkdir -p "$root/usr/share/zoneinfo"
    rm -rf "$root$(dirname "$bin")/lib/"{bitcode,pgxs,llvmjit.so}
    cp -r "/usr/share/postgresql/$(basename "$(dirname "$bin")")" "$root/usr/share/postgresql"
    cp -L /bin/sh "$root/bin/sh"
    for program in mkdir chmod; do cp "$(command -v "$program")" "$root/usr/bin"; done
    ldd "$bin"/{initdb,postgres,pg_isready} /bin/sh "$(command -v mkdir)" "$(command -v chmod)" |
        sed -nE 's,^[[:space:]]*(.* => )?(/[^ ]+) \(0x[0-9a-f]+\)$,\2,p' | sort -u |
        while read -r library; do install -D -m 0555 "$library" "$root$library"; done
    printf 'root:x:0:0::/:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
    printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
    install -d -m 1777 "$root/tmp"
    install -d -o 999 -g 999 -m 0700 "$root/var/lib/postgresql" "$root/var/lib/postgresql/data"
    install -d -o 999 -g 999 -m 0755 "$root/var/run/postgresql"
    cat >"$root/start" <<'START'
#!/bin/sh
set -eu
export PGDATA="${PGDATA:-/var/lib/postgresql/data}"
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA"
  initdb --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --auth-host scram-sha-256 --auth-local trust --locale C
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo "CREATE DATABASE $POSTGRES_DB" | postgres --single postgres
fi
exec "$@"
START
    chmod 0755 "$root/start"
    tar -C "$root" -c . | podman import --quiet --change "ENV PATH=$bin:/usr/bin:/bin" --change 'USER 999:999' \
        --change 'ENTRYPOINT ["/start"]' --change 'CMD ["postgres", "-c", "listen_addresses=*"]' - docker.io/library/postgres:16
}
quietly database_image

# ---- compose files ---------------------------------------------------------------------------------------------------

compose() { "$environment/bin/podman-compose" --file "$place/project/docker/$composed" "$@"; }
# Starts a service. Podman 4.3 cannot wait for what it depends on; whoever calls this does.
up() { quietly compose up --detach --no-build --no-deps "$@"; }

composed=compose.yaml
cp "$here/$composed" "$place/project/docker"
up manager
await "$HEALTHY" "the manager's health" is_healthy epm-lab_manager_1
up agent-1 agent-2 agent-3
# Their logs say so; the exit code of a pipe would be that of its end only.
has_policy() { podman logs "$1" >"$place/log" 2>&1 && grep 12070307 "$place/log"; }
for client in agent-1 agent-2 agent-3; do await "$WELL" "the policy of $client" has_policy "epm-lab_${client}_1"; done
quietly compose down --volumes
say "$composed: three clients find their manager by its name, and have its policy"

composed=compose.site.yaml
# A heartbeat of one second instead of five.
sed 's/--heartbeat=5/--heartbeat=1/' "$here/$composed" >"$place/project/docker/$composed"
mkdir -m 0700 "$place/project/docker/secrets"
for name in database-password rest-password; do
    (umask 022 && head -c 24 /dev/urandom | base64 >"$place/project/docker/secrets/$name")
done
name() { printf 'epm-lab-site_%s_1' "$1"; }
lab() {
    podman exec --env EPM_LAB_URL=http://127.0.0.1:8015 --env EPM_LAB_TOKEN_FILE=/lab/token "$(name "$at")" /usr/bin/epm-lab "$@"
}
at=sepm-1
up database
await "$HEALTHY" "the database" is_healthy "$(name database)"
up found
[[ $(podman wait "$(name found)") == 0 ]] || fail "the site was not founded: $(logs)"
up sepm-1 sepm-2
for one in sepm-1 sepm-2; do await "$HEALTHY" "the health of $one" is_healthy "$(name "$one")"; done
up fleet
is_well() { lab check >"$place/verdict" 2>&1 && grep -w '100 clients' "$place/verdict"; }
await "$WELL" "a hundred clients to be well" is_well
say "$composed: two managers, their database and a hundred clients are well"

# Ends a container's process as a machine does that breaks down; the engine starts it anew.
crash() {
    local container before
    container=$(name "$1")
    before=$(state "$container" Pid)
    kill -s KILL "$before"
    is_another() { [[ $(state "$container" Pid) != "$before" ]] && is_running "$container"; }
    await "$HEALTHY" "$1 to be started anew" is_another
}

# As its operator does: a rotation that stops, since nobody is on, goes on when it is run again.
rotate() {
    local run
    for run in 1 2 3 4 5; do
        printf 'run %s\n' "$run"
        ! lab rotate multi --state /lab/rotation --rest https://sepm-1:8446 --rest-password-file /run/secrets/rest-password || return 0
        await "$WELL" "a hundred clients to be well" is_well
    done
    return 1
}
rotate >"$place/rotation" 2>&1 &
rotation=$!
updated() { grep '^wait after sepm-1' "$place/rotation"; }
await "$ROTATED" "the update of sepm-1" updated
for one in fleet sepm-2 database; do crash "$one"; done
wait "$rotation" || fail "the rotation did not end: $(cat "$place/rotation") $(logs)"
grep -q 'All is well' "$place/rotation" || fail "the rotation did not say that all is well: $(cat "$place/rotation")"
crash sepm-1
await "$HEALTHY" "the health of sepm-1" is_healthy "$(name sepm-1)"
for at in sepm-1 sepm-2; do await "$WELL" "a hundred clients to be well" is_well; done
say "$composed: both managers were rotated while the fleet, a manager and the database were killed, and a manager after it: all are well"
quietly compose down --volumes

# ---- the Pods of the Kubernetes manifests ----------------------------------------------------------------------------

readonly SUBNET=10.213.77.0/24
quietly podman network create --subnet "$SUBNET" epm-lab-pods
pods() { "$environment/bin/python" "$here/pods.py" "$SUBNET" "$@"; }
pods >"$place/pods"
# Plays each Pod of a workload; the engine returns when its init containers are through.    play WORKLOAD
play() {
    local name address
    while read -r name address; do
        # Four hundred clients with a heartbeat of five seconds, instead of four thousand with one of thirty.
        pods "$name" | sed 's/--heartbeat=30/--heartbeat=5/; s/--count=4000/--count=400/' >"$place/$name.yaml"
        quietly podman kube play --network epm-lab-pods --ip "$address" "$place/$name.yaml"
    done < <(grep "^$1-" "$place/pods")
}
accepts() { podman exec database-0-postgres pg_isready --username lab --dbname lab --host 127.0.0.1; }
serves() { podman exec "$1-manager" /usr/bin/epm-lab health --seconds 3 http://127.0.0.1:8014; }
play database
await "$HEALTHY" "the database's Pod" accepts
play sepm
for one in sepm-0 sepm-1; do await "$HEALTHY" "the Pod of $one" serves "$one"; done
play fleet
are_well() {
    podman exec --env EPM_LAB_URL=http://127.0.0.1:8015 --env EPM_LAB_TOKEN_FILE=/secrets/read-token sepm-1-manager \
        /usr/bin/epm-lab check >"$place/verdict" 2>&1 && grep -w '400 clients' "$place/verdict"
}
await "$WELL" "four hundred clients to be well" are_well
running=$(podman ps --format '{{.Names}}' 2>/dev/null | grep --count --invert-match -- '-infra$')
[[ $running == "$(wc -l <"$place/pods")" ]] || fail "$running containers run of $(wc -l <"$place/pods") Pods: $(logs)"
say "Pods: $running, with their containers, run; four shards of a fleet of 400 are well"
