#!/usr/bin/env bash
# A large fleet against one manager, over sockets. Prints the figures of the fleet every ten seconds, and at the end the memory and the
# processor time of both processes. One client in a thousand gets a tampered signature, and must say so; all others must be served.
# tests/fleet.sh                                        100,000 clients, each every 20 s, for ten minutes
# tests/fleet.sh --count 2000 --heartbeat 2s --for 1m   the same, smaller; the options are those of `epm-agent fleet`
# PROFILE=dev tests/fleet.sh --count 300 --for 30s      with the build that the tests use
# Exit code 1 when a client is not served and does not say why, or says something else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=${PROFILE:-release}
cargo build --quiet --profile "$profile" -p epm-client-agent -p epm-server
bin=target/${profile/#dev/debug}
work=$(mktemp -d)
manager=
trap 'if [[ $manager ]]; then kill -INT "$manager" 2>/dev/null && wait "$manager"; fi; rm -rf "$work"' EXIT

"$bin/epm-lab" up --agents 0 --http-port 0 --seed 1 --export "$work/lab" --ready-file "$work/ready.json" \
  > "$work/up.log" 2>&1 &
manager=$!
until [[ -s $work/ready.json ]]; do
  kill -0 "$manager" || { cat "$work/up.log"; exit 1; }
  sleep 0.2
done
export EPM_LAB_READY_FILE=$work/ready.json
"$bin/epm-lab" fault add tampered bad-signature --percent 0.1 --route policy --for 86400 > /dev/null

cost() { # of a process: anonymous memory in MiB, seconds of processor time
  local kib ticks
  kib=$(awk '/^Anonymous:/ { print $2 }' "/proc/$1/smaps_rollup")
  ticks=$(awk '{ print $14 + $15 }' "/proc/$1/stat")
  echo "$((kib / 1024)) MiB, $((ticks / $(getconf CLK_TCK))) s of processor time"
}

set +e
"$bin/epm-agent" fleet --count 100000 --heartbeat 20s --for 10m --every 10s "$@" --sylink "$work/lab/sylink.xml" --json \
  > "$work/lines" &
fleet=$!
tail -n +1 -f --pid="$fleet" "$work/lines" | while read -r line; do
  case $line in
    '{"kind":"figures"'* | '{"kind":"end"'*) jq -r '"\(.seconds) s: \(.started) started, \(.served) served, \(.orphaned) orphaned, \(.disconnected) not served, coverage \(.coverage); \(.heartbeats_per_second) heartbeats/s, p50 \(.latency.p50_ms) ms, p99 \(.latency.p99_ms) ms, late p99 \(.late.p99_ms) ms; errors \(.causes); \(.memory_bytes / 1048576 | floor) MiB; \(.kind)"' <<< "$line" ;;
  esac
  if kill -0 "$fleet" 2> /dev/null; then cost "$fleet" > "$work/fleet" 2> /dev/null; fi
done
wait "$fleet"
set -e
echo "the fleet:   $(cat "$work/fleet")"
echo "the manager: $(cost "$manager")"

jq -r 'select(.kind == "client" and .served == false) | "\(.client) \(.cause)"' "$work/lines" | sort -u > "$work/said"
end=$(tail -n 1 "$work/lines")
echo "$(wc -l < "$work/said") clients said that they are not served"
if grep -v ' signature-not-by-a-pinned-certificate$' "$work/said"; then
  echo "these said something else than that a signature was made by another key"
  exit 1
fi
[[ $(jq '.clients - .served' <<< "$end") == "$(wc -l < "$work/said")" ]] || { echo "others are not served: $end"; exit 1; }
