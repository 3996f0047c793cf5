"""What hatch_build.py puts into the wheel; .ci/wheel builds one and tries it."""

import subprocess
from pathlib import Path

import pytest

import hatch_build
from epm_lab import find_program


def test_the_wheel_has_the_version_of_the_programs() -> None:
    for program in hatch_build.PROGRAMS:
        said = subprocess.run([find_program(program), "--version"], capture_output=True, text=True, timeout=20).stdout
        assert said.split() == [program, hatch_build.workspace_version()]


def test_the_platform_tag_follows_from_the_symbols() -> None:
    assert (2, 17) <= hatch_build.glibc(Path(find_program())) <= (2, 34)


def test_what_is_no_program_for_this_platform_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "epm-lab"
    arm = b"\x7fELF\x02" + bytes(13) + b"\xb7\x00\0GLIBC_2.34"
    for content in (b"#!/bin/sh\n", arm):
        file.write_bytes(content)
        with pytest.raises(SystemExit, match="epm-lab: expected a program for Linux on x86-64"):
            hatch_build.glibc(file)
    file.write_bytes(arm[:18] + b"\x3e\x00static")
    with pytest.raises(SystemExit, match="expected symbols of the GNU C library, found none"):
        hatch_build.glibc(file)
