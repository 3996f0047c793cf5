"""What can go wrong. Everything is a `LabError` but `RotationFailed`, which is what a test is for."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Dict, Optional

if TYPE_CHECKING:
    from .api import Finding, Verdict


class LabError(Exception):
    """The lab could not be started, asked or understood."""


class ApiError(LabError):
    """The lab refuses a request. Nothing has changed, unless the detail says otherwise."""

    def __init__(self, request: str, problem: Dict[str, Any]) -> None:
        #: The problem document of the answer, as JSON: type, title, status, code and detail.
        self.problem = problem
        #: The HTTP status.
        self.status = int(problem.get("status", 0))
        #: The code of the error, stable across releases.
        self.code = str(problem.get("code", ""))
        #: The description of the error.
        self.detail = str(problem.get("detail", ""))
        super().__init__(f"{request}: {self.status} {self.code}: {self.detail}")


class Unreachable(LabError):
    """No answer from the lab: nothing listens at its address, the connection broke, or the timeout passed."""


class LabDied(LabError):
    """The process of the lab has ended: how, and the last lines of its standard error."""

    def __init__(self, message: str, exit_code: Optional[int], stderr: str) -> None:
        #: The exit code; negative for the signal that ended the process; None if it was ended for being late.
        self.exit_code = exit_code
        #: The last lines of its standard error.
        self.stderr = stderr
        said = f"; its standard error ends with\n{stderr}" if stderr else "; it wrote nothing to standard error"
        super().__init__(message + said)


class UnexpectedAnswer(LabError):
    """An answer of another form than this package knows: lab and package are of different versions."""


class RotationFailed(AssertionError):
    """The rotation is not what was expected; the message names findings, clients, layers and failures."""

    def __init__(self, message: str, finding: Finding, verdict: Verdict) -> None:
        #: The judgement: each finding with its code, its result and its counter-examples.
        self.finding = finding
        #: The state of the clients at that moment.
        self.verdict = verdict
        super().__init__(message)


#: As `__tracebackhide__` of a module: pytest shows where a test is wrong, and not what this package then does.
HIDDEN = operator.methodcaller("errisinstance", (LabError, RotationFailed))
