#!/usr/bin/env bash
# Captures each failure of the catalogue that is reproduced with clients over sockets, and has tshark judge the captures: nothing malformed, and
# the exchanges of the journal, one for one. Takes three minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v tshark >/dev/null || { echo "tshark is missing: install the package tshark" >&2; exit 1; }
touch fixtures/needs/build.rs
EPM_TESTS_ALL_CAPTURES=1 cargo test --package epm-tests --test lab -- capture --nocapture
