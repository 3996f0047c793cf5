#!/bin/sh
# Makes docs/images/report.png: the top of the report on a rehearsal, as a browser shows it.
#
# Needs chromium and python3, and epm-lab: the program in $EPM_LAB, or else that of target/debug. The picture must stay below 150 kB.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
lab=${EPM_LAB:-$root/target/debug/epm-lab}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cd "$root"
# Exit code 3: clients are orphaned, which the picture shows.
"$lab" rehearse fixtures/scenarios/holidays-single-manager.toml --agents 500 --report "$folder/report" >"$folder/printed" || test $? -eq 3
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1200,1560 \
  --screenshot="$folder/report.png" "file://$folder/report/report.html" 2>"$folder/errors" || {
  cat "$folder/errors" >&2
  exit 1
}
python3 "$here/palette.py" "$folder/report.png"
size=$(wc -c <"$folder/report.png")
if test "$size" -gt 150000; then
  echo "report.png has $size bytes: expected at most 150000; make the window lower" >&2
  exit 1
fi
mv "$folder/report.png" "$here/report.png"
echo "docs/images/report.png: $size bytes"
