#!/usr/bin/env bash
# A site of several managers with each process on a host of its own: a network namespace with one link to a switch. Links are cut while
# a rotation runs, mistakes are compared with one process, and a load balancer stands in front of two managers.
#
#   tests/several-hosts.sh BINDIR     takes the programs in that folder, built with the feature postgres
#
# Needs root, iproute2, HAProxy, curl, jq and PostgreSQL's programs. Nothing is left behind; the machine's own network is not touched.
# Exit codes: 0 success, 1 a check failed, 2 something is missing.
set -euo pipefail

# Seconds. Only limits: a busy machine takes longer.
readonly SOON=180 ROTATED=400

say() { printf 'several-hosts: %s\n' "$*"; }
missing() {
    printf 'several-hosts: %s\n' "$*" >&2
    exit 2
}
fail() {
    printf 'several-hosts: FAILED: %s\n' "$*" >&2
    local log
    for log in "$place"/*.log; do printf -- '--- %s\n%s\n' "$log" "$(tail -n 12 "$log" | cut -c1-600)" >&2; done
    exit 1
}

[[ $# -eq 1 && -x $1/epm-lab && -x $1/epm-agent ]] || missing "usage: several-hosts.sh BINDIR (the folder with epm-lab and epm-agent)"
[[ $EUID -eq 0 ]] || missing "needs root"
for tool in ip haproxy curl jq runuser; do command -v "$tool" >/dev/null || missing "$tool is missing"; done
initdb=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || missing "PostgreSQL is missing"
bindir=$(realpath "$1")
PATH=$bindir:$PATH

place=$(mktemp -d)
chmod 0755 "$place"
hosts=()
ended() {
    local host
    # A rotation in the background waits long for what has ended.
    jobs -pr | xargs --no-run-if-empty kill || true
    for host in "${hosts[@]}"; do
        ip netns pids "$host" 2>/dev/null | xargs --no-run-if-empty kill -KILL || true
        ip netns delete "$host" || true
    done
    wait
    rm -rf --one-file-system -- "$place" || true
}
trap ended EXIT

# ---- hosts -----------------------------------------------------------------------------------------------------------

on() { ip netns exec "epm-$$-$1" "${@:2}"; }
# Makes a host with an address.    host NAME NUMBER
host() {
    ip netns add "epm-$$-$1"
    hosts+=("epm-$$-$1")
    on "$1" ip link set lo up
    [[ $1 != switch ]] || return 0
    ip -n "epm-$$-switch" link add "$1" type veth peer name net netns "epm-$$-$1"
    on switch ip link set "$1" master switch up
    on "$1" ip address add "10.99.0.$2/24" dev net
    on "$1" ip link set net up
}
cut_off() { on switch ip link set "$1" down; }
mend() { on switch ip link set "$1" up; }
# Runs a program of a host in the background.    start HOST LOG PROGRAM ARGS..
start() { on "$1" "${@:3}" >>"$place/$2.log" 2>&1 & }

await() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >"$place/awaited" 2>&1; do
        ((SECONDS < until)) || fail "waited in vain for $what: $(head -c 2000 "$place/awaited")"
        sleep 0.1
    done
}

host switch 0
on switch ip link add switch type bridge
on switch ip link set switch up

# ---- the site --------------------------------------------------------------------------------------------------------

host db 10
install -d -o postgres "$place/database"
runuser -u postgres -- "$initdb" --pgdata "$place/database/data" --username lab --auth trust --locale C >/dev/null
printf 'host all all 10.99.0.0/24 trust\n' >>"$place/database/data/pg_hba.conf"
start db database runuser -u postgres -- "$(dirname "$initdb")/postgres" -D "$place/database/data" \
    -c listen_addresses=10.99.0.10 -c "unix_socket_directories=$place/database"
await "$SOON" "the database" on db "$(dirname "$initdb")/pg_isready" --quiet --host 10.99.0.10 --username lab
on db runuser -u postgres -- "$(dirname "$initdb")/psql" --quiet --host "$place/database" --username lab --dbname postgres \
    --command 'CREATE DATABASE one' --command 'CREATE DATABASE two' --command 'CREATE DATABASE three'

(umask 077 && head -c 24 /dev/urandom | base64 >"$place/token" && head -c 24 /dev/urandom | base64 >"$place/password")
export EPM_LAB_TOKEN_FILE=$place/token

# Starts the managers of a site.    managers DATABASE NUMBER..
managers() {
    local number database=$1
    shift
    for number; do
        rm -f "$place/sepm-$number.json"
        start "m$number" "sepm-$number" epm-lab site manager --site "postgres://lab@10.99.0.10/$database?sslmode=disable" \
            --name "sepm-$number" --bind 0.0.0.0 --lab --token-file "$place/token" --rest-password-file "$place/password" \
            --export "$place/lab-$number" --force --ready-file "$place/sepm-$number.json"
    done
    for number; do await "$SOON" "sepm-$number" test -s "$place/sepm-$number.json"; done
}
# Ends the processes of hosts.    stop HOST..
stop() {
    local host
    for host; do
        ip netns pids "epm-$$-$host" | xargs --no-run-if-empty kill -TERM
        await "$SOON" "the end of $host" is_empty "$host"
    done
}
is_empty() { [[ -z $(ip netns pids "epm-$$-$1") ]]; }
fleet() { start "$1" "$1" epm-agent fleet --count 20 --name "$1" --sylink "$place/lab-1/sylink.xml" "${@:2}" --report-token-file "$place/token"; }
# The control API of a manager.    lab HOST COMMAND..
lab() { on "$1" epm-lab "${@:2}" --lab "http://127.0.0.1:8015"; }
is_well() { lab "$1" check >"$place/check" 2>&1 && grep -w "$2 clients" "$place/check"; }

for number in 1 2 3; do host "m$number" "1$number"; done
host f1 21
host f2 22
on m1 epm-lab site found --site 'postgres://lab@10.99.0.10/one?sslmode=disable' --heartbeat 1 \
    --manager sepm-1=10.99.0.11 --manager sepm-2=10.99.0.12 --manager sepm-3=10.99.0.13 >/dev/null
managers one 1 2 3
fleet f1 --report http://10.99.0.11:8015
fleet f2 --report http://10.99.0.12:8015
for at in m1 m2 m3; do await "$SOON" "forty clients that are well" is_well "$at" 40; done
say "three managers, their database and two fleets, on six hosts, are well"

# Rotates; goes on with it where it stops, as its operator does.    rotate WAY
rotate() {
    local run
    for run in 1 2 3 4 5 6; do
        printf 'run %s\n' "$run"
        ! lab m1 rotate "$1" --state "$place/state-$1" --rest https://10.99.0.11:8446 --rest-password-file "$place/password" || return 0
        await "$SOON" "forty clients that are well" is_well m1 40
    done
    return 1
}
rotate multi >"$place/multi.log" 2>&1 &
rotation=$!
await "$ROTATED" "the update of sepm-1" grep '^wait after sepm-1' "$place/multi.log"
cut_off f2
are_unknown() { ! lab m1 check >"$place/unknown" 2>&1 && grep '20 clients are unknown' "$place/unknown"; }
await "$SOON" "the clients behind the cut link to be unknown" are_unknown
mend f2
await "$SOON" "the cut clients to be served" is_well m3 40
cut_off db
is_refused() { ! lab m2 manager restart sepm-2 >"$place/refused" 2>&1 && grep 'the database cannot be used' "$place/refused"; }
await "$SOON" "changes to be refused" is_refused
on f1 curl --silent --fail --max-time 5 'http://10.99.0.12:8014/secars/secars.dll?hello,secars' >/dev/null || fail "sepm-2 does not answer without its database"
mend db
await "$SOON" "the database to be followed again" is_well m2 40
cut_off m3
# With a change that the database tells of, and the cut machine never hears.
lab m2 manager restart sepm-2 >/dev/null
gone() {
    on m1 epm-lab site status --site 'postgres://lab@10.99.0.10/one?sslmode=disable' --json >"$place/status" || true
    jq --exit-status '.managers[2].runs == false' "$place/status"
}
await "$SOON" "sepm-3 to be gone" gone
sessions() { [[ $(on db runuser -u postgres -- "$(dirname "$initdb")/psql" --host "$place/database" --username lab --dbname one --tuples-only --no-align \
    --command "SELECT count(*) FROM pg_stat_activity WHERE client_addr = '10.99.0.13'") == 0 ]]; }
await "$SOON" "the database to end the sessions of sepm-3" sessions
# The clients are well, and the site is not.
is_missed() {
    ! lab m1 check --json >"$place/missed" 2>/dev/null || return 1
    jq --exit-status '.processes_down == ["sepm-3"] and .clients == 40 and .unknown == null
        and ([.out_of_touch, .orphaned, .silent] | add == [])' "$place/missed"
}
await "$SOON" "all clients to be served by the others" is_missed
mend m3
wait "$rotation" || fail "the rotation did not end: $(tail -n 20 "$place/multi.log")"
for at in m1 m2 m3; do await "$SOON" "forty clients that are well" is_well "$at" 40; done
say "the procedure for several managers: all are well, though a fleet, the database and a manager were cut off"

rotate single >"$place/single.log" 2>&1 || fail "rotate single did not end: $(tail -n 20 "$place/single.log")"
await "$SOON" "forty clients that are well" is_well m2 40
say "the procedure for one manager: all are well"

# A rotation without waits: here, and in one process. A client whose heartbeat came between two updates may be well.
orphans() {
    ! lab "$1" check --json >"$place/verdict-$1.json" 2>"$place/check.log" && jq --exit-status '.orphaned | length >= 20' "$place/verdict-$1.json" >/dev/null
}
# The failures and layers of the orphaned clients of a host's lab.
findings() { jq --compact-output '[.orphaned[] | [.failure, .layer]] | unique' "$place/verdict-$1.json"; }
lab m1 rotate multi --no-wait --rest https://10.99.0.11:8446 --rest-password-file "$place/password" >"$place/careless.log" 2>&1 || true
await "$SOON" "orphaned clients" orphans m2
host one 30
start one one epm-lab up --managers 3 --agents 40 --heartbeat 1 --ready-file "$place/one.json"
await "$SOON" "a lab in one process" test -s "$place/one.json"
await "$SOON" "its clients to be well" is_well one 40
lab one rotate multi --no-wait >"$place/careless-one.log" 2>&1 || true
await "$SOON" "orphaned clients in one process" orphans one
[[ $(findings m2) == "$(findings one)" ]] || fail "another finding than in one process: $(findings m2) and $(findings one)"
say "without waits clients are orphaned, with the same finding as in one process: $(findings m2)"
stop f1 f2 m1 m2 m3 one

# ---- a load balancer -------------------------------------------------------------------------------------------------

# Two managers that clients reach at one host, each at a port of its own there; each port leads to both.
host lb 40
# Starts the load balancer.    balance MODE "OPTIONS OF ITS PORTS" "OPTIONS OF THE MANAGERS"
balance() {
    local port
    {
        printf 'global\n  maxconn 200\ndefaults\n  mode %s\n' "$1"
        printf '  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n'
        # Another manager for each request.
        [[ $1 == tcp ]] || printf '  option httpclose\n'
        for port in 8014 8024; do
            printf 'listen manager%s\n  bind 10.99.0.40:%s %s\n  balance roundrobin\n' "$port" "$port" "$2"
            printf '  server one 10.99.0.11:8014 %s\n  server two 10.99.0.12:8024 %s\n' "$3" "$3"
        done
    } >"$place/balancer.cfg"
    stop lb
    start lb balancer haproxy -db -f "$place/balancer.cfg"
    await "$SOON" "the load balancer" on lb curl --silent --insecure "${4:-http}://10.99.0.40:8014/secars/secars.dll?hello,secars"
}
# Founds the site that is reached by way of the load balancer, and starts its managers.    balanced DATABASE
balanced() {
    stop m1 m2
    on m1 epm-lab site found --site "postgres://lab@10.99.0.10/$1?sslmode=disable" --heartbeat 1 \
        --manager sepm-1=10.99.0.40:8014:8446 --manager sepm-2=10.99.0.40:8024:8456 >/dev/null
    managers "$1" 1 2
}
balanced two
balance tcp '' ''
fleet f1 --report http://10.99.0.11:8015
await "$SOON" "twenty clients that are well" is_well m1 20
lab m1 rotate single --rest https://10.99.0.11:8446 --rest-password-file "$place/password" >"$place/balanced.log" 2>&1 ||
    fail "rotate single behind a load balancer: $(tail -n 20 "$place/balanced.log")"
say "behind a load balancer that passes TLS on: the procedure for one manager leaves all well"
stop f1

# A load balancer that ends TLS authenticates itself in the managers' place: with a certificate of its own it is refused.
balanced three
certificate() {
    epm-lab --quiet cert issue --name 10.99.0.40 --out "$place/$1.crt" --key-out "$place/$1.key" >/dev/null
    cat "$place/$1.crt" "$place/$1.key" >"$place/$1.pem"
}
give() { lab m1 manager update "$2" --name "$1" --certificate "$place/$1.crt" --key "$place/$1.key" >/dev/null; }
# Waits until all clients have the newest policy of their group, and with it the managers' certificates.
learnt() { on m1 epm-lab site status --site 'postgres://lab@10.99.0.10/three?sslmode=disable' >"$place/status" 2>&1; }
for one in own shared renewed last; do certificate "$one"; done
balance http "ssl crt $place/own.pem" '' https
on f2 epm-agent fleet --count 20 --name f2 --sylink "$place/lab-1/sylink.xml" --for 5s --json >"$place/refused" 2>"$place/f2.log" || true
jq --exit-status --slurp '[.[] | select(.kind == "end")] | last | .served == 0 and .causes["tls-not-pinned"] > 0' "$place/refused" >/dev/null ||
    fail "clients accept the certificate of a load balancer: $(tail -n 2 "$place/refused")"
say "behind a load balancer that ends TLS with a certificate of its own: no client is served"
# With the managers' certificate and key it is believed, until clients know of another one and it has not got it.
give shared sepm-1
give shared sepm-2
lab m1 sylink package --force -o "$place/lab-1" >/dev/null
balance http "ssl crt $place/shared.pem" '' https
fleet f1 --report http://10.99.0.11:8015
await "$SOON" "twenty clients that are well" is_well m1 20
give renewed sepm-1
await "$SOON" "all clients to learn the certificate of sepm-1" learnt
give renewed sepm-2
await "$SOON" "orphaned clients" orphans m1
balance http "ssl crt $place/renewed.pem" '' https
await "$SOON" "twenty clients that are well again" is_well m1 20
say "behind one that ends TLS with the managers' certificate: orphaned after an update, and well when it has the new certificate"
# Both managers at once: what they sign is not believed, so no client learns the certificate that the load balancer gets.
# In the same moment: a client that meets sepm-2 in between would learn it.
give last sepm-1 &
first=$!
give last sepm-2
wait "$first"
await "$SOON" "orphaned clients" orphans m1
balance http "ssl crt $place/last.pem" '' https
lab m1 clock heartbeats 3 >/dev/null
orphans m1 || fail "clients came back that had never learnt of a certificate; orphaned: $(findings m1) of $(jq '.orphaned | length' "$place/verdict-m1.json")"
say "both managers at once: orphaned for good"
