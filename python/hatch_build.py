"""Puts the programs of the folder that PROGRAMS names into the wheel, with the platform tag that they need.

Without PROGRAMS the build fails: a wheel without programs would install and then find no lab.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Dict

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

PROGRAMS = ("epm-lab", "epm-agent")


def workspace_version() -> str:
    """The version of the workspace, which is that of the programs."""
    manifest = (Path(__file__).resolve().parent.parent / "Cargo.toml").read_text(encoding="utf-8")
    found = re.search(r'^\[workspace\.package\][^\[]*?^version = "([^"]+)"', manifest, re.MULTILINE)
    if not found:
        raise SystemExit("Cargo.toml: expected a version under [workspace.package]")
    return found[1]


def glibc(program: Path) -> "tuple[int, ...]":
    """The newest version of the C library whose symbols a program uses."""
    content = program.read_bytes()
    if content[:5] != b"\x7fELF\x02" or content[18:20] != b"\x3e\x00":
        raise SystemExit(f"{program}: expected a program for Linux on x86-64")
    found = re.findall(rb"\0GLIBC_(\d+)\.(\d+)", content)
    if not found:
        raise SystemExit(f"{program}: expected symbols of the GNU C library, found none")
    return max((int(major), int(minor)) for major, minor in found)


class Version(MetadataHookInterface):
    """Sets the version of the package."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: Dict[str, Any]) -> None:
        metadata["version"] = workspace_version()


class Programs(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the programs, and sets the platform tag."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        folder = os.environ.get("PROGRAMS")
        if not folder:
            raise SystemExit("PROGRAMS is not set: expected the folder with the built programs epm-lab and epm-agent")
        programs = [Path(folder).resolve() / name for name in PROGRAMS]
        for program in programs:
            said = subprocess.run(
                [program, "--version"], capture_output=True, text=True, check=True, timeout=60
            ).stdout
            if said.split()[-1:] != [workspace_version()]:
                raise SystemExit(f"{program}: expected version {workspace_version()}, found {said.strip()}")
        major, minor = max(map(glibc, programs))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_{major}_{minor}_x86_64"
        build_data["shared_scripts"].update({str(program): program.name for program in programs})
