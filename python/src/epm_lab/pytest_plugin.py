"""The fixture `epm_lab`: a lab for one test, on free ports, which ends with the test.

`@pytest.mark.epm_lab(managers=2, agents=6, faults={"busy": "database-down"})` says what lab it is, with the arguments
of `Lab.start`. The mark of a test goes before that of its class and of its module, argument by argument.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Dict, Generator, Iterator

import pytest

from . import report
from .errors import HIDDEN, LabError, RotationFailed
from .lab import Lab

__tracebackhide__ = HIDDEN
MARK = "epm_lab"
ARGUMENTS = [name for name in inspect.signature(Lab.start).parameters if name != "folder"]
_LAB = pytest.StashKey[Lab]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(*, managers=1, agents=5, heartbeat=1, seed=None, speed=1, scenario=None, faults=None, options=(), "
        "timeout=60): the lab of the fixture epm_lab; a scenario's path is relative to the test's file",
    )


@pytest.fixture
def epm_lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running lab of the test's own; ready file and log are in a temporary folder that pytest keeps for a while."""
    wanted = _wanted(request.node)
    folder = tmp_path_factory.mktemp("epm-lab")
    with Lab.start(folder=folder, **wanted) as lab:
        request.node.stash[_LAB] = lab
        yield lab


def _wanted(test: pytest.Item) -> Dict[str, Any]:
    """The arguments of all marks, those of the test last."""
    wanted: Dict[str, Any] = {}
    for mark in reversed(list(test.iter_markers(MARK))):
        wrong = [*map(repr, mark.args), *(name for name in mark.kwargs if name not in ARGUMENTS)]
        if wrong:
            expected = f"expected the named arguments {', '.join(ARGUMENTS)}"
            raise LabError(f"{test.nodeid}: the mark {MARK} has {', '.join(wrong)}; {expected}")
        wanted.update(mark.kwargs)
    if wanted.get("scenario") is not None:
        wanted["scenario"] = Path(test.path).parent / wanted["scenario"]
    return wanted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows its lab, unless its message does that already."""
    result = yield
    lab = item.stash.get(_LAB, None)
    if (
        lab
        and result.failed
        and call.when == "call"
        and call.excinfo
        and not call.excinfo.errisinstance(RotationFailed)
    ):
        result.sections.append(("epm-lab", report.of_a_test(lab.api)))
    return result
