"""A lab in a container, where testcontainers is installed and IMAGE names an image: .ci/release sees to both."""

import os
import re
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("testcontainers", reason="testcontainers is not installed; .ci/release installs it")
IMAGE = os.environ.get("IMAGE")
pytestmark = pytest.mark.skipif(not IMAGE, reason="IMAGE names no image; .ci/release makes one")


def test_a_lab_in_a_container_is_judged_from_outside_and_is_gone_afterwards() -> None:
    from epm_lab import RotationFailed
    from epm_lab.container import LabContainer

    with LabContainer(IMAGE or "", managers=2, agents=6) as container:
        lab = container.lab
        assert [one.name for one in lab.managers] == ["sepm-1", "sepm-2"]
        health = subprocess.run(["epm-lab", "health", lab.managers[1].https], env=lab.environ, check=True, timeout=60)
        assert health.returncode == 0
        with pytest.raises(RotationFailed, match="certificate-new"):
            lab.expect_rotation(heartbeats=1)
        rest = ["--rest-password-file", str(lab.ready_file.parent / "password")]
        (lab.ready_file.parent / "password").write_text(container.rest_password)
        url = str(lab.managers[0].rest)
        subprocess.run(["epm-lab", "rotate", "single", "--rest", url, *rest], env=lab.environ, check=True, timeout=300)
        lab.expect_rotation()
        number = container.get_container_id()
        client = container.get_docker_client().client
        assert number in [one.id for one in client.containers.list()]
    assert number not in [one.id for one in container.get_docker_client().client.containers.list(all=True)]


def test_a_container_that_does_not_come_up_says_why_and_is_removed() -> None:
    from epm_lab import LabDied
    from epm_lab.container import LabContainer

    with pytest.raises(LabDied, match="--no-such-option"):
        LabContainer(IMAGE or "", options=["--no-such-option"]).start()


def test_the_example_of_the_page_prints_what_a_test_needs(capsys: "pytest.CaptureFixture[str]") -> None:
    page = Path(os.environ.get("PAGE", Path(__file__).parents[2] / "docs" / "python.md")).read_text(encoding="utf-8")
    (example,) = (one for one in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "LabContainer" in one)
    exec(example.replace("epm-lab:local", IMAGE or ""))
    shown = capsys.readouterr().out
    assert re.fullmatch(r"https://\S+:\d+ [0-9a-f]{32}\n6 clients\n", shown), shown
