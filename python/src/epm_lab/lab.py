"""A lab of one's own: the process `epm-lab up` on free ports, from its start to its end."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Type, Union

from . import report
from ._http import JsonObject
from .api import ControlApi
from .errors import HIDDEN, ApiError, LabDied, LabError, RotationFailed
from .scenario import Scenario

__tracebackhide__ = HIDDEN
#: The lines of standard error that an error repeats.
LAST_LINES = 20


def find_program(name: str = "epm-lab") -> str:
    """The path of `epm-lab` or `epm-agent`.

    It is in the folder that the environment variable EPM_LAB_PROGRAMS names; if that is not set, beside this Python,
    as the wheel installs it, or on the PATH. Raises `LabError` if it is not there.
    """
    named = os.environ.get("EPM_LAB_PROGRAMS")
    beside = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    program = shutil.which(name, path=named or os.pathsep.join(beside))
    if program is None:
        where = f"in {named}, which EPM_LAB_PROGRAMS names" if named else "beside this Python or on the PATH"
        raise LabError(
            f"there is no {name} {where}: install the wheel, or set EPM_LAB_PROGRAMS to the folder of the programs"
        )
    return os.path.abspath(program)


@dataclass(frozen=True)
class Manager:
    """The addresses of a manager. The user of its REST API is `admin`, the password `epm-lab`."""

    #: The name of the manager.
    name: str
    #: URL of the clients' port over HTTP, and over HTTPS.
    http: str
    https: str
    #: URL of the REST API; None with `--no-rest`. Its certificate is `api.certificate(name).stores.console.pem`.
    rest: Optional[str]


@dataclass(repr=False)
class Lab:
    """A running lab. End it with `close()`, or use it in a `with` statement."""

    #: The control API.
    api: ControlApi
    #: The managers, in order.
    managers: List[Manager]
    #: The seed: `epm-lab up --seed` with the same arguments is the same lab again.
    seed: int
    #: The ready file of `epm-lab up`, with all addresses.
    ready_file: Path
    #: The name of the baseline that `expect_rotation` compares with.
    baseline: str = "start"
    _again: str = ""
    _token_file: Optional[str] = None
    _process: Optional[subprocess.Popen[bytes]] = None
    _stderr: Optional[Path] = None
    _folder: Optional[tempfile.TemporaryDirectory[str]] = None

    @classmethod
    def start(
        cls,
        *,
        managers: int = 1,
        agents: int = 5,
        heartbeat: int = 1,
        seed: Optional[int] = None,
        speed: int = 1,
        scenario: Union[None, str, Path] = None,
        faults: Optional[Mapping[str, Any]] = None,
        options: Sequence[str] = (),
        folder: Optional[Path] = None,
        timeout: float = 60.0,
    ) -> Lab:
        """Starts a lab on free ports of loopback, and returns when every client has checked in.

        managers: Number of managers: sepm-1, sepm-2 and so on.
        agents: Number of clients; of five or more, one each is of a kind that careless rotations forget.
        heartbeat: Seconds between two heartbeats of a client.
        seed: Seed of all keys and random draws; drawn if absent.
        speed: Speed of the lab's clock, as a multiple of real time.
        scenario: A scenario file whose site, setup, fleet and speed the lab gets, instead of `managers`, `agents` and
            `speed`. Its steps are left to the tool under test. What cannot be set on a running lab is a `LabError`.
        faults: Faults to begin with, by name: as `set_fault` takes them.
        options: Further arguments of `epm-lab up`.
        folder: Folder for ready file and log; a temporary one if absent.
        timeout: Seconds until the lab has to be ready, and the longest silence of its control API.

        Raises `LabDied` if it ends or is not ready in time, with the last lines of its standard error.
        """
        program = find_program()
        plan = Scenario.read(Path(scenario)) if scenario is not None else None
        if plan:
            managers, agents, seed = len(plan.managers), 0, plan.seed if seed is None else seed
        temporary = tempfile.TemporaryDirectory(prefix="epm-lab-") if folder is None else None
        place = Path(temporary.name) if temporary else Path(str(folder))
        ready_file, stderr = place / "ready.json", place / "epm-lab.log"
        ready_file.unlink(missing_ok=True)  # of an earlier lab
        arguments = ["--managers", str(managers), "--agents", str(agents), "--heartbeat", str(heartbeat), *options]
        command = [program, "up", "--http-port", "0", "--ready-file", str(ready_file), *arguments]
        command += ["--seed", str(seed)] if seed is not None else []
        with open(stderr, "wb") as log:
            process = subprocess.Popen(  # its standard output repeats the ready file
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=_environment_of_up(),
                start_new_session=True,
                preexec_fn=_ends_with_this_process(),
            )
        try:
            ready = _wait_until_ready(process, ready_file, stderr, timeout)
            named = re.search(r"(?:^|\0)--token-file[=\0]([^\0]+)", "\0".join(options))
            token_file = os.path.abspath(named[1]) if named else None
            token = Path(token_file).read_text(encoding="utf-8") if token_file else None
            again = _shown(["epm-lab", "up", *arguments, "--seed", str(ready["seed"])])
            besides = [f"setup and fleet of {scenario}"] if plan else []
            besides += [f"the clock at {speed} times real time"] if speed != 1 and not plan else []
            besides += [f"the faults {json.dumps(dict(faults), default=str)}"] if faults else []
            lab = cls(
                api=ControlApi(ready["control_api"], token=token, timeout=timeout),
                managers=[
                    Manager(one["manager"], one["http"], one["https"], one.get("rest")) for one in ready["managers"]
                ],
                seed=ready["seed"],
                ready_file=ready_file,
                _again=again + (f", with {' and '.join(besides)}" if besides else ""),
                _token_file=token_file,
                _process=process,
                _stderr=stderr,
                _folder=temporary,
            )
            lab.api._on_lost = lab._raise_if_dead
            if plan:
                plan.set_up(lab.api, timeout)
            elif speed != 1:
                lab.api.set_clock(speed=speed)
            for name, rule in (faults or {}).items():
                lab.set_fault(name, rule)
            if plan:
                lab.take_baseline("scenario")
            return lab
        except BaseException:
            _end(process)
            if temporary:
                temporary.cleanup()
            raise

    def __repr__(self) -> str:
        return f"Lab({self.url!r}, seed={self.seed})"

    @property
    def url(self) -> str:
        """The address of the control API."""
        return self.api.url

    @property
    def environ(self) -> Dict[str, str]:
        """The environment for a tool: the commands of `epm-lab` are on the PATH, and act on this lab."""
        path = os.pathsep.join([str(Path(find_program()).parent), os.environ.get("PATH", os.defpath)])
        own = {"EPM_LAB_URL": self.url, "EPM_LAB_READY_FILE": os.path.abspath(self.ready_file), "PATH": path}
        if self._token_file:
            own["EPM_LAB_TOKEN_FILE"] = self._token_file
        return {**{name: value for name, value in os.environ.items() if name != "EPM_LAB_TOKEN_FILE"}, **own}

    def set_fault(self, name: str, rule: Any) -> None:
        """Sets a fault: a kind such as "database-down", or a rule: {"what": .., "whom": .., "where": .., ..}."""
        self.api.set_fault(name, **{"name": name, **({"what": rule} if isinstance(rule, str) else rule)})

    def take_baseline(self, name: str) -> None:
        """Takes a baseline, with which `expect_rotation` compares from then on; do so after setting up groups."""
        self.api.take_baseline(name)
        self.baseline = name

    def expect_rotation(
        self,
        *,
        heartbeats: int = 3,
        rotates: Optional[Sequence[str]] = None,
        left_behind: Sequence[str] = (),
        never_insecure: bool = False,
        least_heartbeats: Optional[int] = None,
        timeout: float = 120.0,
    ) -> None:
        """Raises `RotationFailed` unless the certificates were rotated since the baseline without harm to a client.

        heartbeats: Number of heartbeats of every client to wait for first.
        rotates: Names of the managers that get a new certificate; all if absent. The others must keep theirs.
        left_behind: Names of the clients that were left behind on purpose.
        never_insecure: Whether secure communications must not have been off at any time.
        least_heartbeats: Number of heartbeats that each client must have had between two steps.
        timeout: Seconds to wait for the heartbeats.

        What cannot be judged has not passed: its findings have the result "unknown", and `finding.not_judged` says why.
        """
        expected: JsonObject = {"expect": "rotation", "since": self.baseline, "least_heartbeats": least_heartbeats}
        expected.update(left_behind=list(left_behind), never_insecure=never_insecure)
        if rotates is not None:
            expected["rotates"] = list(rotates)
        late = None
        try:
            self.api.pass_heartbeats(
                heartbeats=heartbeats, limit_seconds=max(1, int(timeout)), timeout=timeout + self.api.timeout
            )
        except ApiError as error:  # the judgement names the clients without heartbeats
            if error.status == 400:
                raise
            late = error.detail
        finding = self.api.find([expected]).expectations[0]
        if finding.result != "pass":
            verdict = self.api.verdict()
            message = report.rotation(self.api, finding, verdict, late, self._again)
            raise RotationFailed(message, finding, verdict)

    def close(self) -> None:
        """Ends the process, with all that it has started. Closing again does nothing."""
        if self._process is not None:
            _end(self._process)
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _raise_if_dead(self) -> None:
        """After a lost connection: raises `LabDied` if the process has ended, or is about to."""
        if self._process is None or self._stderr is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=1)
            raise LabDied(f"the lab has ended with {_ended(code)}", code, _last_lines(self._stderr))


def _environment_of_up() -> Dict[str, str]:
    """The environment without the options of another lab: `up` takes each of its options from a variable, too."""
    return {name: value for name, value in os.environ.items() if name == "EPM_LAB_LOG" or name[:8] != "EPM_LAB_"}


def _wait_until_ready(process: subprocess.Popen[bytes], ready_file: Path, stderr: Path, timeout: float) -> JsonObject:
    """The content of the ready file, which is written in one piece, with a line end."""
    deadline = time.monotonic() + timeout
    while True:
        code = process.poll()
        text = ""
        with contextlib.suppress(FileNotFoundError):  # the lab removes it, too
            text = ready_file.read_text(encoding="utf-8")
        if text.endswith("\n"):
            ready: JsonObject = json.loads(text)
            return ready
        if code is not None:
            raise LabDied(f"the lab did not come up: it ended with {_ended(code)}", code, _last_lines(stderr))
        if time.monotonic() > deadline:
            raise LabDied(f"the lab was not ready within {timeout:g} s", None, _last_lines(stderr))
        time.sleep(0.05)


def _shown(command: Sequence[str]) -> str:
    """A command for a shell, without the password in it."""
    words = [re.sub(r"(?s)^(--rest-password=).*", r"\1...", word) for word in command]
    for at, word in enumerate(words[:-1]):
        if word == "--rest-password":
            words[at + 1] = "..."
    return shlex.join(words)


def _ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _last_lines(file: Path) -> str:
    """The last lines of standard error, without the site's shared secret."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    return re.sub(r"hexkey:\w+", "hexkey:...", "\n".join(lines[-LAST_LINES:]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its group: politely, and after ten seconds with SIGKILL.

    As long as the process is not waited for, no other process group can have its number.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, process.pid, ended) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ends_with_this_process() -> Optional[Callable[[], None]]:
    """What makes Linux end the lab should this process be killed.

    The system ends it with the thread that has started it, so this is for the main thread only.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl
    pr_set_pdeathsig = 1
    return lambda: prctl(pr_set_pdeathsig, signal.SIGTERM)
