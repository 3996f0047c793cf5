"""The examples of docs/python.md are run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import List

from test_plugin import run

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
#: For the commands that others try: .ci/wheel itself, and the build of the programs.
STUBS = """
set -euo pipefail
cargo() { [ "$*" = "build --release --workspace" ]; }
pip() { [ "$*" = "install target/wheel/epm_lab-0-py3-none-any.whl[pytest]" ]; }
"""
WHEEL = """#!/bin/sh
[ "$PROGRAMS" = target/release ] && mkdir -p target/wheel && : > target/wheel/epm_lab-0-py3-none-any.whl
"""


def blocks(language: str) -> List[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_are_valid(tmp_path: Path) -> None:
    (script,) = blocks("sh")
    wheel = tmp_path / ".ci" / "wheel"
    wheel.parent.mkdir()
    wheel.write_text(WHEEL)
    wheel.chmod(0o755)
    assert os.access(ROOT / ".ci" / "wheel", os.X_OK)
    subprocess.run(["bash", "-c", STUBS + script], cwd=tmp_path, check=True, timeout=20)


def test_the_tests_pass_and_fail_as_shown_where_the_tool_does_nothing(tmp_path: Path) -> None:
    tests = blocks("python")[0]
    code, shown = run(tmp_path, tests, "-n", "2")
    assert code == 0 and "2 passed" in shown, shown
    code, shown = run(tmp_path, tests.replace('["epm-lab", "rotate", "single"]', '["true"]'), "-k", "tool")
    assert code == 1 and "1 failed" in shown, shown
    for line in blocks("text")[0].splitlines():
        assert line.strip() in shown, f"{line!r} is not in:\n{shown}"


def test_the_script_without_pytest_prints_clients_and_the_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", blocks("python")[1]]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "python" / "src")}
    shown = subprocess.run(
        command, env=environ, cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True
    ).stdout
    assert re.search(r"^desk-1 False My Company\\Default Group \['[0-9A-F:]{95}'\]$", shown, re.MULTILINE), shown
    assert re.search(r"^404 unknown .*no such list", shown, re.MULTILINE), shown
