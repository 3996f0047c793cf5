"""The fixture `epm_lab`, as tests of a rotation tool use it: each run is a pytest of its own."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from epm_lab import report

SOURCES = str(Path(__file__).resolve().parent.parent / "src")


def run(folder: Path, test: str, *arguments: str) -> "tuple[int, str]":
    """Runs pytest on this text with the plugin; exit code and output."""
    (folder / "test_tool.py").write_text(test, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "epm_lab.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "--strict-markers",
    ]
    environ = {**os.environ, "PYTHONPATH": SOURCES, "COLUMNS": "200"}
    done = subprocess.run(
        [*command, "--basetemp", str(folder / "kept"), *arguments, "test_tool.py"],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
    )
    assert labs_of(folder) == []
    return done.returncode, done.stdout


def labs_of(folder: Path) -> "list[str]":
    """The labs that still run with a ready file in this folder."""
    lines = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            lines.append((process / "cmdline").read_bytes().decode(errors="replace"))
    return [line for line in lines if str(folder) in line and "--ready-file" in line]


def test_a_right_tool_passes_and_others_fail_with_names_layers_failures_and_the_journal(tmp_path: Path) -> None:
    code, shown = run(
        tmp_path,
        """
import subprocess
import pytest

pytestmark = pytest.mark.epm_lab(speed=8)

def rotate(lab, *options):
    subprocess.run(["epm-lab", "rotate", "single", *options], env=lab.environ, timeout=60)

def test_right(epm_lab):
    rotate(epm_lab)
    epm_lab.expect_rotation()

@pytest.mark.epm_lab(faults={"none": {"what": "latency", "whom": {"percent": 0}}})
def test_idle(epm_lab):
    epm_lab.expect_rotation()

@pytest.mark.epm_lab(agents=12)
def test_careless(epm_lab):
    epm_lab.api.update_certificate("sepm-1", "too-early")
    epm_lab.expect_rotation()

def test_half(epm_lab):
    epm_lab.api.update_certificate("sepm-1", "half", stores="console")
    epm_lab.expect_rotation()

def test_other(epm_lab):
    epm_lab.api.update_certificate("sepm-1", "too-early")
    epm_lab.api.pass_heartbeats(heartbeats=2)
    assert epm_lab.seed < 0
""",
        "-n",
        "2",
    )
    assert code == 1 and "4 failed, 1 passed" in shown, shown
    idle = part(shown, "test_idle")
    assert "certificate-new (fail)" in idle and re.search(r"desk-1: connected; it trusts [0-9A-F]{8}\n", idle), idle
    faults = re.escape('{"none": {"what": "latency", "whom": {"percent": 0}}}')
    again = rf"epm-lab up --managers 1 .* --seed \d+, with the clock at 8 times real time and the faults {faults}\n"
    assert re.search(f"the same lab again: {again}", idle), idle
    careless = part(shown, "test_careless")
    assert re.search(r"the page of the lab, while it runs: http://127.0.0.1:\d+/clients/desk-\d+\n", careless), careless
    assert (
        re.search(r"switch-left-on \(fail\).*\n.* desk-1 in My Company", careless)
        or "desk-1 in My Company" in careless
    )
    assert re.search(
        r"desk-1: orphaned since .*, layer tls \(TLS certificate\), F01: the manager presented", careless
    ), careless
    orphaned = re.findall(r"  (\S+): orphaned since .*, F01: the manager presented", careless)
    assert len({*orphaned} - {"mostly-off-1"}) == 11, careless  # more than the finding names
    assert "mostly-off-1" in orphaned or re.search(r"  mostly-off-1: .*; it trusts ", careless), careless
    assert "F01: The server certificate is replaced while clients still verify it (HTTPS)" in careless
    assert "journal, the last 10 of" in careless and "connection-closed: " in careless
    assert re.search(r"why \(\d+ clients\): ", careless), careless
    half = part(shown, "test_half")
    assert "stores-equal (fail, F10): " in half and "F10: Half an update: " in half, half
    other = part(shown, "test_other")
    assert "--- epm-lab ---" in other and "layer tls" in other and "journal, the last 10 of" in other, other


def part(shown: str, test: str) -> str:
    """What pytest shows of one test."""
    return re.split(r"\n_+ \w+ _+\n|\n=+ short test summary", shown.split(f"_ {test} _")[1])[0]


def test_ten_labs_run_at_once(tmp_path: Path) -> None:
    code, shown = run(
        tmp_path,
        """
import os, pathlib, time
import pytest

@pytest.mark.parametrize("number", range(10))
@pytest.mark.epm_lab(agents=1, heartbeat=5)
def test_all_are_there(epm_lab, number):
    there = pathlib.Path(os.environ["THERE"])
    (there / str(number)).write_text(epm_lab.managers[0].http)
    limit = time.monotonic() + 90
    while len(list(there.iterdir())) < 10:
        assert time.monotonic() < limit, list(there.iterdir())
        time.sleep(0.05)
    assert epm_lab.api.verdict().clients == 1
""".replace('os.environ["THERE"]', repr(str(made(tmp_path / "there")))),
        "-n",
        "10",
        "--maxprocesses",
        "10",
    )
    assert code == 0 and "10 passed" in shown, shown
    assert len({file.read_text() for file in (tmp_path / "there").iterdir()}) == 10


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_marks_are_merged_and_wrong_ones_are_errors(tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text(
        """
[site]
managers = [{ name = "sepm-1" }, { name = "sepm-2" }]
[[fleet]]
name = "laptop"
count = 1
version = "14.3"
""",
        encoding="utf-8",
    )
    code, shown = run(
        tmp_path,
        """
import pytest

pytestmark = pytest.mark.epm_lab(managers=2, agents=1, heartbeat=5)

@pytest.mark.epm_lab(agents=2, faults={"slow": {"what": {"kind": "latency"}, "whom": {"percent": 50}}})
def test_merged(epm_lab):
    assert [one.name for one in epm_lab.managers] == ["sepm-1", "sepm-2"]
    assert epm_lab.api.clients().total == 2
    assert epm_lab.api.faults()[0].fault.whom.percent == 50

@pytest.mark.epm_lab(scenario="scenario.toml")
def test_scenario(epm_lab):
    assert [one.client for one in epm_lab.api.clients().clients] == ["laptop-1"]

@pytest.mark.epm_lab(2)
def test_positional(epm_lab):
    raise AssertionError

@pytest.mark.epm_lab(manager=2)
def test_unknown(epm_lab):
    raise AssertionError

@pytest.mark.epm_lab(faults={"wrong": "no-such-kind"})
def test_fault(epm_lab):
    raise AssertionError

def test_without():
    pass
""",
    )
    assert code == 1 and "3 passed, 3 errors" in shown, shown
    assert "the mark epm_lab has 2; expected the named arguments managers, agents, " in shown, shown
    assert "the mark epm_lab has manager; expected " in shown, shown
    assert "no-such-kind" in shown
    assert "epm_lab/" not in shown, "the package shows its own code"


def test_fingerprints_are_short_and_other_text_is_kept() -> None:
    whole = ":".join(["AB", "01", "CD", "23"] * 8)
    assert report.short(f"found {whole}, at 10:51:47") == "found AB01CD23, at 10:51:47"

