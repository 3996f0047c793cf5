#!/usr/bin/env bash
# Clients in push mode, each with a request that their manager holds: how long it takes from a change until all of them are answered.
# Prints a line for each of five changes.
# tests/held.sh                 15,000 clients; a process may need 20,000 open files
# tests/held.sh 2000            2,000 clients
# PROFILE=dev tests/held.sh 300 with the build that the tests use
# Exit code 1 when a client comes to hold no request within five minutes, or is not answered within one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

count=${1:-15000}
profile=${PROFILE:-release}
[[ -d ${BIN:-} ]] || cargo build --quiet --profile "$profile" -p epm-client-agent -p epm-server
bin=${BIN:-target/${profile/#dev/debug}}
work=$(mktemp -d)
processes=()
trap 'kill -INT "${processes[@]}" 2>/dev/null; wait; rm -rf "$work"' EXIT

"$bin/epm-lab" up --agents 0 --http-port 0 --no-rest --seed 1 --heartbeat 3600 --export "$work/lab" --ready-file "$work/ready.json" \
  > "$work/up.log" 2>&1 &
processes+=($!)
until [[ -s $work/ready.json ]]; do
  kill -0 "${processes[0]}" || { cat "$work/up.log"; exit 1; }
  sleep 0.2
done
api=$(jq -r .control_api "$work/ready.json")
commands() { curl -sSf --json "$1" "$api/v1/commands" > /dev/null; }
metric() { curl -sSf "$api/metrics" | awk -v name="$1" '$1 ~ "^" name "($|[{])" { sum += $2 } END { printf "%d", sum }'; }
# reach SECONDS METRIC NUMBER
reach() {
  local until=$((SECONDS + $1))
  while (($(metric "$2") < $3)); do
    ((SECONDS < until)) || { echo "$2: $(metric "$2") of $3"; exit 1; }
    sleep 0.02
  done
}

commands '[{"set-communication": {"group": "My Company", "change": {"mode": "push"}}}]'
"$bin/epm-lab" sylink package -o "$work/package" --lab "$api" > /dev/null
"$bin/epm-agent" fleet --count "$count" --sylink "$work/package" --json > "$work/fleet.log" 2>&1 &
processes+=($!)
reach 300 epm_lab_held_requests "$count"
for round in 1 2 3 4 5; do
  before=$(metric epm_lab_heartbeats_total)
  began=$(date +%s%N)
  commands '[{"set-policy": {"group": "My Company", "policy": "Firewall", "content": "'"$round"'"}}]'
  changed=$(date +%s%N)
  reach 60 epm_lab_heartbeats_total $((before + count))
  echo "$count clients: the change took $(((changed - began) / 1000000)) ms, and all were answered $((($(date +%s%N) - began) / 1000000)) ms after it began"
  reach 60 epm_lab_held_requests "$count"
done
