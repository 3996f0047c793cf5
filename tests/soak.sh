#!/usr/bin/env bash
# A fleet over sockets, rotation after rotation, every step compared with its rehearsal; memory, files and threads must not grow.
# tests/soak.sh --clients 5000 --minutes 60 --seed 1    the long form
# tests/soak.sh --quick                                 100 clients for 40 seconds, with the build that the tests use
# Exit code 1 when something is wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=bench
for word in "$@"; do
  if [[ $word == --quick ]]; then profile=dev; fi
done
exec cargo bench --quiet --profile "$profile" --package epm-tests --bench soak -- "$@"
