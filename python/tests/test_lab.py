"""A lab from its start to its end, and what is said when something goes wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable

import pytest

from epm_lab import ApiError, ControlApi, Lab, LabDied, LabError, UnexpectedAnswer, Unreachable, find_program
from epm_lab import _http as http
from epm_lab.api import RestoredSnapshot
from test_plugin import labs_of

SCENARIOS = Path(__file__).resolve().parent.parent.parent / "fixtures" / "scenarios"
STARTED = """
from epm_lab import Lab
lab = Lab.start(agents=1)
print(lab._process.pid, flush=True)
input()
"""


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits at most 20 seconds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, f"20 seconds without: {what}"
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def process_of(lab: Lab) -> "subprocess.Popen[bytes]":
    assert lab._process is not None
    return lab._process


def test_the_lab_ends_with_the_block_even_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), Lab.start(agents=1) as lab:
        folder = lab.ready_file.parent
        assert lab.api.health().ready and lab.managers[0].rest and folder.exists()
        raise ZeroDivisionError
    lab.close()  # again
    assert not is_running(process_of(lab).pid) and not folder.exists()
    with pytest.raises(LabDied, match="has ended with exit code 0"):
        lab.api.health()


def test_the_lab_ends_when_python_is_killed() -> None:
    python = subprocess.Popen(
        [sys.executable, "-c", STARTED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=with_sources()
    )
    try:
        assert python.stdout is not None
        lab = int(python.stdout.readline())
        assert is_running(lab)
    finally:
        python.kill()
        python.communicate()
    until(lambda: not is_running(lab), "the lab has ended")


def with_sources() -> "dict[str, str]":
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent / "src")}


def test_a_lab_that_dies_is_reported_with_its_last_words() -> None:
    with Lab.start(agents=1, options=["--log", "info"]) as lab:
        os.kill(process_of(lab).pid, signal.SIGKILL)
        secret = json.loads(lab.ready_file.read_text())["kcs"]
        with pytest.raises(LabDied, match="signal SIGKILL; its standard error ends with(?s:.*)Ctrl-C stops") as died:
            lab.api.verdict()
    assert died.value.exit_code == -signal.SIGKILL and len(secret) == 32 and secret not in died.value.stderr


def test_a_lab_that_does_not_come_up_says_why_and_is_ended(tmp_path: Path) -> None:
    with pytest.raises(LabDied, match=r"did not come up: it ended with exit code 2(?s:.*)--nonsense"):
        Lab.start(options=["--nonsense"])
    with pytest.raises(LabDied, match="not ready within 0 s"):
        Lab.start(timeout=0, folder=tmp_path)
    for _ in "ab":  # the second time the folder has the ready file of the first
        with Lab.start(agents=1, folder=tmp_path, options=[f"--token-file={tmp_path / 'token'}"]) as lab:
            assert lab.api.site().clients
    with pytest.raises(ApiError, match="no-such-kind"):
        Lab.start(faults={"wrong": "no-such-kind"}, agents=1, folder=tmp_path)
    assert labs_of(tmp_path) == []


def test_there_is_no_lab_without_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("EPM_LAB_PROGRAMS", raising=False)
    with pytest.raises(LabError, match="no epm-cat beside this Python or on the PATH: install the wheel"):
        find_program("epm-cat")
    monkeypatch.setenv("EPM_LAB_PROGRAMS", "/elsewhere")
    with pytest.raises(LabError, match="no epm-lab in /elsewhere, which EPM_LAB_PROGRAMS names"):
        Lab.start()


def test_what_the_program_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "epm-lab"
    program.write_text(
        """#!/bin/sh
trap "" TERM HUP
sleep 100 &
sleep 100 &
trap - TERM
while [ "$1" != --ready-file ]; do shift; done
echo '{"control_api": "http://127.0.0.1:1", "managers": [], "seed": '$!'}' > "$2"
wait
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("EPM_LAB_PROGRAMS", str(tmp_path))
    with Lab.start() as lab:
        assert is_running(lab.seed)
    until(lambda: not is_running(lab.seed), "what ignores SIGTERM has ended, too")


def test_an_error_carries_the_problem_of_the_answer() -> None:
    with (
        Lab.start(agents=1) as lab,
        pytest.raises(ApiError, match='^GET /v1/clients/a%2Fb: 404 unknown: .*"a/b"') as error,
    ):
        lab.api.client("a/b")
    assert (error.value.status, error.value.code) == (404, "unknown")
    assert set(error.value.problem) == {"type", "title", "status", "code", "detail"}


def test_the_token_is_sent_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-of-a-lab-0123456789\n")
    with Lab.start(agents=1, options=["--token-file", str(file), "--rest-password", "hushhush"]) as lab:
        assert lab.api.site().clients
        shown = repr(lab) + repr(lab.api) + lab._again
        assert "0123456789" not in shown and "hushhush" not in shown
        with pytest.raises(ApiError) as refused:
            ControlApi(lab.url, token="another-token-of-a-lab").site()
    assert refused.value.status in (401, 403) and "another" not in str(refused.value)


def test_commands_act_on_this_lab_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EPM_LAB_URL", "EPM_LAB_READY_FILE", "EPM_LAB_TOKEN_FILE"):
        monkeypatch.setenv(name, "/of/another/lab")
    with Lab.start(agents=1) as lab:
        assert "EPM_LAB_TOKEN_FILE" not in lab.environ
    with Lab.start(agents=1, options=["--token-file", str(tmp_path / "token")]) as lab:
        assert lab.environ["EPM_LAB_READY_FILE"] == str(lab.ready_file)
        done = subprocess.run(["epm-lab", "check"], env=lab.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "All is well." in done.stdout, done


def test_nothing_waits_for_ever() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        api = ControlApi(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        at_last = threading.Timer(5, deaf.close)
        at_last.start()
        with pytest.raises(Unreachable, match="GET .*/v1/health: no answer within 0.2 s"):
            api.health(timeout=0.2)
        at_last.cancel()
    with pytest.raises(Unreachable, match="refused"):
        api.health()
    with pytest.raises(LabError, match="expected a URL such as"):
        ControlApi("https://127.0.0.1")


def test_an_answer_of_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http.Transport, "_bytes", lambda *_: b'{"ready": "yes"}')
    with pytest.raises(UnexpectedAnswer, match="GET /v1/health: .*another version"):
        ControlApi("http://127.0.0.1").health()
    assert http.decode(RestoredSnapshot, {"restored": "x", "new": 1}).restored == "x"


def test_a_scenario_gives_site_and_fleet_and_leaves_the_steps_to_the_tool() -> None:
    with Lab.start(scenario=SCENARIOS / "single-manager.toml") as lab:
        assert lab.seed == 7 and lab.baseline == "scenario"
        assert {one.part: one.clients for one in lab.api.verdict().parts}["desktop"] == 3
        assert "My Company\\Laptops" in {one.group for one in lab.api.groups()}
        assert lab.api.clock().speed == 10


def test_a_scenario_that_no_running_lab_can_be_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="holidays-single-manager.toml: .* cannot be set on a running lab"):
        Lab.start(scenario=SCENARIOS / "holidays-single-manager.toml")
    file = tmp_path / "other.toml"
    file.write_text('[site]\nname = "Elsewhere"\nmanagers = [{ name = "sepm-1" }]\n')
    with pytest.raises(LabError, match="expected the site 'My Site', found 'Elsewhere'"):
        Lab.start(scenario=file)
    file.write_text(
        '[site]\nmanagers = [{ name = "sepm-1" }]\n[[fleet]]\nname = "laptop"\ncount = 1\npresence = "office"\n'
    )
    with pytest.raises(LabError, match="fleet 'laptop': presence cannot be set on a running lab"):
        Lab.start(scenario=file)
    file.write_text('[site]\nmanagers = [{ name = "sepm-1", address = "127.0.0.2" }]\n')
    with pytest.raises(LabError, match="expected managers with the names sepm-1 alone"):
        Lab.start(scenario=file)
    file.write_text("[site\n")
    with pytest.raises(LabError, match="other.toml: "):
        Lab.start(scenario=file)
