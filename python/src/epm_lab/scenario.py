"""Site, setup and fleet of a scenario file, for a running lab."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping

from ._http import JsonObject
from .api import ControlApi
from .errors import HIDDEN, LabError

__tracebackhide__ = HIDDEN
#: What is set on the lab. `step` and `fault` are the plan, which the tool under test takes the place of.
SITE = {"name", "managers", "setup"}
CLOCK = {"speed"}
#: The name of the site of `epm-lab up`, which the name of its default list contains.
SITE_NAME = "My Site"
PART = {"name", "count", "group", "location", "version"}
WHOLE = {"title", "about", "seed", "clock", "site", "fleet", "step", "fault"}


@dataclass(frozen=True)
class Scenario:
    """What a lab takes from a scenario file."""

    managers: List[str]
    setup: List[JsonObject]
    fleet: List[JsonObject]
    speed: int
    seed: int

    @classmethod
    def read(cls, file: Path) -> Scenario:
        """Reads a file. Raises `LabError` for what a running lab cannot take over: nothing is left out in silence."""
        plan = _toml(file)
        site: JsonObject = plan.get("site", {})
        fleet: List[JsonObject] = plan.get("fleet", [])
        managers = [one.get("name", "") for one in site.get("managers", [])]
        named = [f"sepm-{number}" for number in range(1, len(managers) + 1)]
        if managers != named or any(set(one) > {"name"} for one in site["managers"]):
            expected = ", ".join(named) or "sepm-1"
            raise LabError(f"{file}: expected managers with the names {expected} alone, found {site.get('managers')}")
        _only(file, "", plan, WHOLE)
        _only(file, "site.", site, SITE)
        _only(file, "clock.", plan.get("clock", {}), CLOCK)
        if site.get("name", SITE_NAME) != SITE_NAME:
            raise LabError(f"{file}: expected the site {SITE_NAME!r}, found {site['name']!r}")
        for part in fleet:
            _only(file, f"fleet {part.get('name')!r}: ", part, PART)
        return cls(managers, site.get("setup", []), fleet, plan.get("clock", {}).get("speed", 1), plan.get("seed", 1))

    def set_up(self, api: ControlApi, timeout: float) -> None:
        """Applies the setup, and starts the clients; returns when each has been served."""
        api.give_commands(self.setup, timeout=timeout)
        api.set_clock(speed=self.speed, timeout=timeout)
        for part in self.fleet:
            settings = {key: value for key, value in part.items() if key != "name"}
            api.set_part(part["name"], **settings, timeout=timeout)


def _only(file: Path, where: str, table: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        names = ", ".join(unknown)
        raise LabError(f"{file}: {where}{names} cannot be set on a running lab; `epm-lab run` runs a whole scenario")


def _toml(file: Path) -> Dict[str, Any]:
    """A TOML file. Before Python 3.11 that needs the package tomli, which pytest brings."""
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    try:
        toml = importlib.import_module(name)
        read: Dict[str, Any] = toml.loads(file.read_text(encoding="utf-8"))
    except ImportError:
        raise LabError(f"to read a scenario with this version of Python, install {name}") from None
    except (OSError, ValueError) as error:
        raise LabError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    return read
