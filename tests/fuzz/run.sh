#!/usr/bin/env bash
# Fuzzes the parsers of foreign bytes with coverage guidance on stable Rust. docs/fuzzing.md says what and how.
#
#   run.sh all|TARGET... [--seconds N] [--runs N]   fuzz each target until either is reached, then print all figures;
#                                                   with --built, the programs of an earlier build
#   run.sh keep all|TARGET...                       minimise what was found and keep it in tests/fuzz/corpus
#   run.sh self-check [--seconds N]                 find each planted panic in N seconds, or fail: the coverage guides the fuzzer
#   run.sh figures                                  print the figures of all runs since `target` was made
#
# Ends with 1 if an input made a target panic, hang or take too much memory; the input is in target/finds.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
out=$here/libfuzzer/target
figures=$out/figures.tsv

# The coverage that libFuzzer reads: a counter for each edge, their addresses, and the operands of comparisons. rustc has the passes;
# cargo-fuzz would only add a sanitizer, which needs a nightly compiler and finds what code without `unsafe` cannot do.
# Comparisons are left as they are written: texts are compared by a call that libFuzzer sees, and each comparison keeps its branch.
# `--target` keeps the flags away from build scripts and macros.
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
-Cllvm-args=-max-loads-per-memcmp=0 -Cllvm-args=-simplifycfg-branch-fold-threshold=0 --cfg fuzzing"

refuse() { printf '%s\n' "$*" >&2; exit 2; }

mapfile -t known < <(sed -n '/self_check::/d; s/^ *Target { name: "\([a-z0-9-]*\)".*/\1/p' "$here/src/lib.rs")
mapfile -t checks < <(sed -n 's/^ *Target { name: "\([a-z0-9-]*\)", run: self_check::.*/\1/p' "$here/src/lib.rs")

build() {
  # The versions that the programs are built with; cargo adds the fuzzer.
  cp "$here/../../Cargo.lock" "$here/libfuzzer/Cargo.lock"
  EPM_FUZZ_TARGET=$1 RUSTFLAGS=$coverage \
    cargo build --quiet --release --target "$host" --manifest-path "$here/libfuzzer/Cargo.toml"
  mkdir -p "$out/programs"
  cp "$out/$host/release/epm-fuzz" "$out/programs/$1"
}

# pack FOLDER ARCHIVE. The inputs resemble each other, so they are compressed together: an archive of a stored archive.
pack() {
  python3 - "$@" <<'EOF'
import io, os, sys, zipfile
folder, archive = sys.argv[1:]
inputs = io.BytesIO()
with zipfile.ZipFile(inputs, "w", zipfile.ZIP_STORED) as inner:
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            inner.writestr(zipfile.ZipInfo(name), file.read())
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as outer:
    outer.writestr(zipfile.ZipInfo("inputs.zip"), inputs.getvalue(), zipfile.ZIP_DEFLATED)
EOF
}

# The inputs of earlier runs, and those that are kept.
inputs() {
  mkdir -p "$out/corpus/$1" "$out/finds"
  [[ ! -e $here/corpus/$1.zip ]] || python3 - "$here/corpus/$1.zip" "$out/corpus/$1" <<'EOF'
import io, sys, zipfile
archive, folder = sys.argv[1:]
with zipfile.ZipFile(archive) as outer:
    zipfile.ZipFile(io.BytesIO(outer.read("inputs.zip"))).extractall(folder)
EOF
}

# fuzz TARGET SECONDS RUNS
fuzz() {
  local log=$out/$1.log status=0 cpu inputs edges all finds
  inputs "$1"
  # Processor time of the program, since the machine may be busy.
  TIMEFORMAT='%U %S'
  { time "$out/programs/$1" -use_value_profile=1 -max_total_time="$2" -runs="$3" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$out/finds/$1-" "$out/corpus/$1" >"$log" 2>&1; } 2>"$out/$1.time" || status=$?
  cpu=$(awk '{ print $1 + $2 }' "$out/$1.time")
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  all=$(sed -n 's/.*Loaded 1 PC tables (\([0-9]*\) PCs).*/\1/p' "$log")
  finds=$(grep --count '^SUMMARY: ' "$log" || true)
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "${inputs:-0}" "$cpu" "${edges:-0}" "${all:-0}" "$finds" >>"$figures"
  if ((status)); then
    printf '%s: an input was found:\n' "$1"
    tail -n 40 "$log"
    return 1
  fi
}

# self_check NAME SECONDS
self_check() {
  local corpus=$out/self-check/$1
  rm -rf "$corpus"
  mkdir -p "$corpus"
  TIMEFORMAT='%U %S'
  { time "$out/programs/$1" -use_value_profile=1 -max_total_time="$2" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$corpus.find-" "$corpus" >"$out/$1.log" 2>&1; } 2>"$out/$1.time" && status=0 || status=$?
  printf '%s: %s inputs, %s s of the processor, ' "$1" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$1.log")" \
    "$(awk '{ print $1 + $2 }' "$out/$1.time")"
  if ((status)) && grep --quiet --text '^planted$' "$out/$1.log"; then
    echo found
  else
    echo 'not found: the coverage does not guide the fuzzer'
    return 1
  fi
}

print_figures() {
  [[ -e $figures ]] || refuse "no figures yet: run.sh all --seconds 60"
  awk -F '\t' '
    { if (!($1 in inputs)) order[++count] = $1
      inputs[$1] += $2; cpu[$1] += $3; finds[$1] += $6; if ($4 > edges[$1]) edges[$1] = $4; all[$1] = $5 }
    END {
      printf "%-12s %12s %12s %10s %16s %6s\n", "target", "inputs", "core-minutes", "inputs/s", "edges", "finds"
      for (at = 1; at <= count; at++) {
        name = order[at]
        printf "%-12s %12d %12.1f %10d %7d of %5d %6d\n", name, inputs[name], cpu[name] / 60,
          cpu[name] ? inputs[name] / cpu[name] : 0, edges[name], all[name], finds[name]
      }
    }' "$figures"
}

# Keeps the fewest inputs that reach every edge that any reached.
keep() {
  local fresh=$out/kept/$1
  inputs "$1"
  # A copy, since a fuzzer that still runs removes inputs.
  rm -rf "$fresh" "$fresh.from"
  mkdir -p "$fresh" "$here/corpus"
  cp -r "$out/corpus/$1" "$fresh.from"
  "$out/programs/$1" -set_cover_merge=1 -use_counters=0 -timeout=10 "$fresh" "$fresh.from" 2>"$out/$1.merge.log"
  pack "$fresh" "$here/corpus/$1.zip"
  printf '%s: %s inputs kept, %s bytes\n' "$1" "$(find "$fresh" -type f | wc -l)" "$(stat -c %s "$here/corpus/$1.zip")"
}

targets=() seconds=60 runs=-1 what=fuzz built=0
while (($#)); do
  case $1 in
    --seconds) seconds=${2:?--seconds N}; shift ;;
    --runs) runs=${2:?--runs N}; shift ;;
    --built) built=1 ;;
    keep | figures) what=$1 ;;
    self-check) what=$1 targets=("${checks[@]}") ;;
    all) targets=("${known[@]}") ;;
    *) [[ " ${known[*]} " == *" $1 "* ]] || refuse "unknown target $1: expected all, or some of ${known[*]}"; targets+=("$1") ;;
  esac
  shift
done
if [[ $what != figures ]] && ((${#targets[@]} == 0)); then refuse "name a target: all, or some of ${known[*]}"; fi

failed=0
for target in "${targets[@]}"; do
  ((built)) || build "$target"
  case $what in
    fuzz) fuzz "$target" "$seconds" "$runs" || failed=1 ;;
    keep) keep "$target" ;;
    self-check) self_check "$target" "$seconds" || failed=1 ;;
  esac
done
[[ $what == keep || $what == self-check ]] || print_figures
exit "$failed"
