"""Labs for tests of tools that rotate the certificates of a mock Symantec Endpoint Protection Manager.

`Lab` starts one, `ControlApi` asks one that runs, and the fixture `epm_lab` of the pytest plugin gives each test a
lab of its own.
"""

from .api import ControlApi
from .errors import ApiError, LabDied, LabError, RotationFailed, UnexpectedAnswer, Unreachable
from .lab import Lab, Manager, find_program

__all__ = [
    "ApiError",
    "ControlApi",
    "Lab",
    "LabDied",
    "LabError",
    "Manager",
    "RotationFailed",
    "UnexpectedAnswer",
    "Unreachable",
    "find_program",
]
