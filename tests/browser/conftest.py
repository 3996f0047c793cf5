"""Labs and browsers for the tests of the page: Debian's Chromium, driven by Playwright."""

import json
import os
import pathlib
import subprocess
import time
import urllib.request

import pytest
from playwright.sync_api import expect, sync_playwright

# Only a limit: a busy machine takes longer.
expect.set_options(timeout=30_000)

PROGRAMS = pathlib.Path(os.environ.get("EPM_LAB_PROGRAMS", "target/debug")).resolve()
AXE = pathlib.Path(os.environ.get("AXE", "target/browser/axe.min.js"))


class Lab:
    """A running lab, its control API and its command."""

    def __init__(self, folder, *options):
        ready = folder / "ready.json"
        self.log = open(folder / "up.log", "wb")
        ports = ["--http-port", "0", "--rest-port", "0", "--control-port", "0", "--seed", "1"]
        self.process = subprocess.Popen(
            [PROGRAMS / "epm-lab", "up", *ports, "--ready-file", ready, *options], stdout=self.log, stderr=self.log
        )
        end = time.monotonic() + 300
        while not (ready.exists() and ready.stat().st_size):
            assert self.process.poll() is None and time.monotonic() < end, (folder / "up.log").read_text()
            time.sleep(0.05)
        self.ready = json.loads(ready.read_text())
        self.url = self.ready["control_api"]

    def call(self, method, path, body=None, token=None):
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def open(self, path):
        """Loads a view, as a browser does."""
        with urllib.request.urlopen(self.url + path, timeout=120) as answer:
            return answer.read()

    def run(self, *command):
        return subprocess.run([PROGRAMS / "epm-lab", *command], capture_output=True, text=True, timeout=60, check=False)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"), "--agents", "8", "--heartbeat", "5")
    lab.call("PUT", "/v1/clock", {"speed": 0})
    yield lab
    lab.stop()


@pytest.fixture
def lab(shared_lab):
    """A lab as it was at its start, whose clock stands."""
    shared_lab.call("POST", "/v1/reset")
    shared_lab.call("DELETE", "/v1/faults")
    return shared_lab


@pytest.fixture
def open_page(chromium):
    """Opens a page; at the end no error was logged and nothing was asked of another host."""
    contexts, troubles = [], []

    def opened(lab, path="/", context=None, **options):
        if context is None:
            context = chromium.new_context(**options)
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        # What a test provokes on purpose, such as a refused call, is logged by the browser as a failed load.
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" and "Failed to load resource" not in message.text else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: troubles.append(request.url) if not request.url.startswith((lab.url, "data:")) else None)
        page.goto(lab.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture(scope="session")
def axe():
    return AXE.read_text()
