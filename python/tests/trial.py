"""The trial of the wheel in .ci/wheel: the second of the two fails. Not part of the other tests."""

import subprocess

import pytest

from epm_lab import Lab

pytestmark = pytest.mark.epm_lab(speed=5)


def test_that_a_right_tool_rotates(epm_lab: Lab) -> None:
    subprocess.run(["epm-lab", "rotate", "single"], env=epm_lab.environ, check=True, timeout=60)
    epm_lab.expect_rotation()


def test_that_a_tool_does_nothing(epm_lab: Lab) -> None:
    subprocess.run(["true"], env=epm_lab.environ, check=True, timeout=60)
    epm_lab.expect_rotation()
