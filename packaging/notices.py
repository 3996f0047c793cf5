#!/usr/bin/env python3
"""Prints the licences of the crates that are compiled into both programs, with the texts that the licences require to be kept.

Run in the workspace; it asks `cargo metadata`. Crates with the same text are listed above it together.
"""

import json
import subprocess
import sys
from pathlib import Path

PROGRAMS = {"epm-server", "epm-client-agent"}
TARGET = "x86_64-unknown-linux-gnu"
# Where a crate comes with several texts, all are kept; a file of these names holds one.
NAMES = ("licen", "copying", "copyright", "notice", "unlicense")


def crates():
    """The crates that the programs are linked from, without those that only build or test them."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    packages = {one["id"]: one for one in found["packages"]}
    nodes = {one["id"]: one for one in found["resolve"]["nodes"]}
    waiting = [id for id, one in packages.items() if one["name"] in PROGRAMS]
    seen = set(waiting)
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            is_linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_linked and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    return sorted((packages[id] for id in seen if packages[id]["source"]), key=lambda one: (one["name"], one["version"]))


def main():
    texts, without = {}, []
    for crate in crates():
        title = f"{crate['name']} {crate['version']} ({crate['license']})"
        folder = Path(crate["manifest_path"]).parent
        files = sorted(one for one in folder.iterdir() if one.is_file() and one.name.lower().startswith(NAMES))
        if not files:
            without.append(title)
        for file in files:
            text = file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip()
            # The same text is often wrapped differently.
            texts.setdefault(" ".join(text.split()), (text, []))[1].append(title)
    print("The programs of epm-lab contain the following crates, each under the licence that stands beside its name.")
    for text, titles in sorted(texts.values(), key=lambda one: one[1]):
        print(f"\n{'=' * 80}\n" + "\n".join(titles) + f"\n{'-' * 80}\n{text}")
    if without:
        print(f"\n{'=' * 80}\nWithout a text of their own:\n" + "\n".join(without))


if __name__ == "__main__":
    sys.exit(main())
