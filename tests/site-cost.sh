#!/usr/bin/env bash
# What a manager pays for its database: heartbeats per second of its processor time, as the only manager of a site in a database and
# alone, in turn. Three rounds, half a minute for each.
# BIN=target/dist EPM_LAB_SITE=postgres://lab@127.0.0.1/lab tests/site-cost.sh      the database has no site yet; it is founded there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=$(realpath "${BIN:?the folder of epm-lab and epm-agent, epm-lab with the feature postgres}")
: "${EPM_LAB_SITE:?the URL of a database}"
work=$(mktemp -d)
manager=
trap 'kill -INT $manager 2>/dev/null || true; wait; rm -rf "$work"' EXIT

beats() { curl -sSf "$1/metrics" | awk '/^epm_lab_heartbeats_total/ { sum += $2 } END { printf "%d", sum }'; }
ticks() { awk '{ print $14 + $15 }' "/proc/$manager/stat"; }
# measure NAME COMMAND...
measure() {
  local name=$1 api before cost
  shift
  rm -rf "${work:?}"/*
  "$@" --ready-file "$work/ready.json" > "$work/log" 2>&1 &
  manager=$!
  until [[ -s $work/ready.json ]]; do
    kill -0 "$manager" || { cat "$work/log"; exit 1; }
    sleep 0.1
  done
  api=$(jq -r .control_api "$work/ready.json")
  "$bin/epm-lab" sylink package -o "$work/package" --lab "$api" > /dev/null
  "$bin/epm-agent" fleet --count 3000 --heartbeat 2s --for 32s --sylink "$work/package" --json > "$work/fleet" &
  sleep 12 # until all are registered
  before=$(beats "$api") cost=$(ticks)
  sleep 18
  echo "$name: $((($(beats "$api") - before) * $(getconf CLK_TCK) / ($(ticks) - cost))) heartbeats per second of the processor"
  wait %% || { tail -n 1 "$work/fleet"; exit 1; }
  kill -INT "$manager"
  wait "$manager"
}

"$bin/epm-lab" site found --seed 7 --heartbeat 2 --manager only=127.0.0.1:18114 > /dev/null
for _ in 1 2 3; do
  measure "alone     " "$bin/epm-lab" up --agents 0 --http-port 0 --no-rest --seed 7 --heartbeat 2
  measure "in a site " "$bin/epm-lab" site manager --name only --control-port 0
done
