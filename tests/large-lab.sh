#!/usr/bin/env bash
# A lab with a large fleet in its own process: how long it takes until every client is registered, what it takes of memory, and how
# long its interfaces take to answer meanwhile. Prints a table.
# tests/large-lab.sh target/release/epm-lab                                100,000 clients, each every 300 s
# tests/large-lab.sh target/debug/epm-lab --agents 2000 --heartbeat 20     the same, smaller; the options are those of `epm-lab up`
# Exit code 1 when the lab does not start, or an answer is not the right one.
set -euo pipefail

program=$(realpath "${1:?the path of epm-lab}")
shift
agents=100000
heartbeat=300
options=()
while (($#)); do
  case $1 in
    --agents) agents=$2 && shift 2 ;;
    --heartbeat) heartbeat=$2 && shift 2 ;;
    *) options+=("$1") && shift ;;
  esac
done
work=$(mktemp -d)
lab=
trap 'if [[ $lab ]]; then kill -INT "$lab" 2> /dev/null && wait "$lab"; fi; rm -rf "$work"' EXIT

now() { date +%s.%N; }
since() { echo "$(now) $1" | awk '{ printf "%.1f", $1 - $2 }'; }
row() { printf '%-44s %12s\n' "$1" "$2"; }
began=$(now)
"$program" up --agents "$agents" --heartbeat "$heartbeat" --http-port 0 --seed 1 --ready-file "$work/ready.json" \
  "${options[@]}" > "$work/up.log" 2>&1 &
lab=$!
until [[ -s $work/ready.json ]]; do
  kill -0 "$lab" 2> /dev/null || { cat "$work/up.log"; exit 1; }
  sleep 0.2
done
row "clients" "$(jq '.clients | length' "$work/ready.json")"
row "seconds until all are registered" "$(since "$began")"
memory() { awk '/^Anonymous:/ { printf "%d", $2 / 1024 }' "/proc/$lab/smaps_rollup"; }
row "memory (Anonymous), MiB" "$(memory)"

export EPM_LAB_READY_FILE=$work/ready.json
api=$(jq -r .control_api "$work/ready.json")
rest=$(jq -r '.managers[0].rest' "$work/ready.json")
beats() { curl -sSf "$api/metrics" | awk '/^epm_lab_heartbeats_total/ { sum += $2 } END { printf "%d", sum }'; }
before=$(beats)
sleep 10
row "heartbeats per second" "$((($(beats) - before) / 10))"

# The shortest of five calls: the others wait for what else the machine does.
timed() { # what, then the command, which prints the seconds that the answer took
  local what=$1 best=
  shift
  for _ in 1 2 3 4 5; do
    local took
    took=$("$@")
    best=$(printf '%s\n' "$took" ${best:+"$best"} | sort -g | head -n 1)
  done
  row "$what" "$(awk '{ printf "%.0f", $1 * 1000 }' <<< "$best")"
}
get() { curl -sSfk -o /dev/null -w '%{time_total}' "$@"; }
program_takes() {
  local start
  start=$(now)
  "$program" "$@" > "$work/said" || [[ $? -eq 3 || $? -eq 1 ]]
  since "$start"
}
echo "milliseconds:"
timed "GET /v1/clients, a page of 100" get "$api/v1/clients"
timed "GET /v1/clients, a filter" get "$api/v1/clients?standing=behind&limit=10"
timed "GET /v1/verdict" get "$api/v1/verdict"
timed "GET /metrics" get "$api/metrics"
expect='[{"expect":"every-client-is-up-to-date"},{"expect":"every-client-is-served"},{"expect":"no-client-was-orphaned"}]'
timed "POST /v1/expectations, three" get -H 'content-type: application/json' -d "$expect" "$api/v1/expectations"
timed "POST /v1/expectations, a rotation" get -H 'content-type: application/json' -d '[{"expect":"rotation"}]' "$api/v1/expectations"
timed "epm-lab client list" program_takes client list
timed "epm-lab check" program_takes check
if [[ $rest != null ]]; then
  token=$(curl -sSfk -H 'content-type: application/json' -d '{"username":"admin","password":"epm-lab","domain":""}' \
    "$rest/sepm/api/v1/identity/authenticate" | jq -r .token)
  timed "GET /sepm/api/v1/computers, a page of 20" get -H "Authorization: Bearer $token" "$rest/sepm/api/v1/computers"
fi
timed "the page, its first view" get "$api/"
row "memory (Anonymous) at the end, MiB" "$(memory)"
