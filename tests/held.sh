#!/usr/bin/env bash
# Clients in push mode, each with a request that their manager holds: how long it takes from a change until 98 in 100 of these are answered, and
# until each client has had its next heartbeat.
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
# metric NAME [LABEL]: the sum of a metric's values, of those with this label.
metric() { curl -sSf "$api/metrics" | awk -v name="$1" -v label="${2:-}" '$1 ~ "^" name "($|[{])" && index($1, label) { sum += $2 } END { printf "%d", sum }'; }
# reach SECONDS NUMBER METRIC [LABEL]: asked five times a second, since each answer counts the open files of the manager.
reach() {
  local until=$((SECONDS + $1)) number=$2
  shift 2
  while (($(metric "$@") < number)); do
    ((SECONDS < until)) || { echo "$*: $(metric "$@") of $number"; exit 1; }
    sleep 0.2
  done
}

commands '[{"set-communication": {"group": "My Company", "change": {"mode": "push"}}}]'
"$bin/epm-lab" sylink package -o "$work/package" --lab "$api" > /dev/null
"$bin/epm-agent" fleet --count "$count" --sylink "$work/package" --json > "$work/fleet.log" 2>&1 &
processes+=($!)
reach 300 "$count" epm_lab_held_requests
for round in 1 2 3 4 5; do
  before=$(metric epm_lab_heartbeats_total)
  held=$(metric epm_lab_exchanges_total 'action="hold"')
  began=$(date +%s%N)
  since() { echo $((($(date +%s%N) - began) / 1000000)); }
  commands '[{"set-policy": {"group": "My Company", "policy": "Firewall", "content": "'"$round"'"}}]'
  changed=$(since)
  # A client that has just come to hold a request may be told by its next heartbeat instead.
  reach 60 $((held + count - count / 50)) epm_lab_exchanges_total 'action="hold"'
  woken=$(since)
  reach 60 $((before + count)) epm_lab_heartbeats_total
  echo "$count clients: the change took $changed ms; $woken ms after it began 98 in 100 held requests were answered, and after $(since) ms all next heartbeats"
  reach 60 "$count" epm_lab_held_requests
done
