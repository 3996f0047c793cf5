"""A lab in a container, by testcontainers: `pip install epm-lab[testcontainers]`, and the image of docker/Dockerfile."""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any, Optional, Sequence
from urllib.parse import urlsplit, urlunsplit

from testcontainers.core.container import DockerContainer

from .api import ControlApi
from .errors import LabDied, LabError
from .lab import LAST_LINES, Lab, Manager

CONTROL, CLIENTS, REST = 8015, 8014, 8446
#: A manager's ports are as much higher than those of the one before.
PORTS_APART = 10


class LabContainer(DockerContainer):  # type: ignore[misc, unused-ignore]
    """A lab in a container of its own, which ends with a `with` statement or `stop()`.

    `lab` has all that a `Lab` has: `api`, `managers`, `environ` for a tool on this machine, `expect_rotation`. Its
    addresses are those of this machine, of ports that the engine has chosen.
    """

    def __init__(
        self,
        image: str = "epm-lab:local",
        *,
        managers: int = 1,
        agents: int = 5,
        heartbeat: int = 1,
        options: Sequence[str] = (),
        timeout: float = 60.0,
        **kwargs: Any,
    ) -> None:
        """Prepares a container; `start()` or a `with` statement starts it.

        image: The image of docker/Dockerfile.
        managers: Number of managers: sepm-1, sepm-2 and so on.
        agents: Number of clients in the container; of five or more, one each is of a kind that rotations forget.
        heartbeat: Seconds between two heartbeats of a client.
        options: Further arguments of `epm-lab up`.
        timeout: Seconds until the lab has to be ready, and the longest silence of its control API.
        kwargs: Arguments of `DockerContainer`, such as `network`.
        """
        super().__init__(image, **kwargs)
        #: The password of the REST API's user `admin`: the port can be reached from outside of the container.
        self.rest_password = secrets.token_hex(16)
        self.timeout = timeout
        self._lab: Optional[Lab] = None
        self._folder = tempfile.TemporaryDirectory(prefix="epm-lab-")
        arguments = ["up", "--bind", "0.0.0.0", "--lab", "--token-file", "/lab/token", "--ready-file", "/lab/ready.json"]
        arguments += ["--managers", str(managers), "--agents", str(agents), "--heartbeat", str(heartbeat)]
        self.with_command([*arguments, "--rest-password", self.rest_password, *options])
        self.with_exposed_ports(CONTROL)
        for number in range(managers):
            self.with_exposed_ports(CLIENTS + number * PORTS_APART, REST + number * PORTS_APART)

    @property
    def lab(self) -> Lab:
        """The lab in the container. Raises `LabError` before the container is started."""
        if self._lab is None:
            raise LabError("the container is not started: use it in a `with` statement, or call start()")
        return self._lab

    def start(self) -> LabContainer:
        """Starts the container, and returns when every client has checked in.

        Raises `LabDied` with the last lines of its log if it ends or is not ready in time.
        """
        super().start()
        try:
            self._lab = self._connected()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, *args: Any, **kwargs: Any) -> None:
        """Removes the container. Stopping again does nothing."""
        super().stop(*args, **kwargs)
        self._container = self._lab = None
        self._folder.cleanup()

    def _connected(self) -> Lab:
        """The lab, once its ready file is there."""
        folder = Path(self._folder.name)
        ready_file, token_file = folder / "ready.json", folder / "token"
        deadline = time.monotonic() + self.timeout
        text = ""
        # The file appears in one piece, with a line end.
        while not text.endswith("\n"):
            with contextlib.suppress(OSError, LookupError):
                text = self._copied("/lab/ready.json", ready_file)
            self.reload()
            has_ended = self.status in ("exited", "dead")
            if not text and (has_ended or time.monotonic() > deadline):
                said = b"".join(self.get_logs()).decode(errors="replace").splitlines()[-LAST_LINES:]
                why = "has ended" if has_ended else f"was not ready within {self.timeout:g} s"
                raise LabDied(f"the lab in the container {why}", None, "\n".join(said))
            time.sleep(0.1)
        ready = json.loads(text)
        token = self._copied("/lab/token", token_file)
        ready["control_api"] = self._outside(ready["control_api"])
        for one in ready["managers"]:
            for name in ("http", "https", "hello", "rest"):
                if one.get(name):
                    one[name] = self._outside(one[name])
        ready_file.write_text(json.dumps(ready) + "\n", encoding="utf-8")
        return Lab(
            api=ControlApi(ready["control_api"], token=token, timeout=self.timeout),
            managers=[
                Manager(one["manager"], one["http"], one["https"], one.get("rest")) for one in ready["managers"]
            ],
            seed=ready["seed"],
            ready_file=ready_file,
            _again=f"the image {self.image} with --seed {ready['seed']}",
            _token_file=str(token_file),
        )

    def _copied(self, source: str, target: Path) -> str:
        """The content of a file in the container."""
        import docker.errors

        try:
            self.copy_from_container(source, target)
        except docker.errors.APIError as error:
            raise LookupError(source) from error
        target.chmod(0o600)
        return target.read_text(encoding="utf-8")

    def _outside(self, url: str) -> str:
        """A URL of the container, as this machine reaches it."""
        parts = urlsplit(url)
        host, port = self.get_container_host_ip(), self.get_exposed_port(parts.port or 0)
        return urlunsplit(parts._replace(netloc=f"{host}:{port}"))
