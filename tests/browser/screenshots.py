"""Makes the screenshots of the book, docs/images/page-*.png, of a lab in which one client was orphaned.

    EPM_LAB_PROGRAMS=target/debug target/browser/bin/python tests/browser/screenshots.py
"""

import pathlib
import subprocess
import sys
import tempfile

from playwright.sync_api import sync_playwright

from conftest import Lab

IMAGES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "images"
LARGEST = 100_000


def replace(manager):
    return [{"update-certificate": {"manager": manager, "certificate": {"generate": {}}}}]


def prepare(lab):
    """Both managers get new certificates; a fault keeps one client from learning the first in time."""
    lab.call("PUT", "/v1/clock", {"speed": 0, "now": "2027-01-04T08:00:00Z"})
    lab.call("PUT", "/v1/faults/busy", {"what": {"kind": "status", "code": 503}, "where": {"route": "index"}, "whom": {"agent": "desk-1"}})
    for by in [None, "sepm-1", "sepm-2"]:
        if by:
            lab.call("POST", "/v1/commands", replace(by))
        for _ in range(6):
            lab.call("POST", "/v1/clock/advance", {"by": "10s"})
            lab.call("GET", "/v1/verdict")
            lab.open("/")


def main():
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(pathlib.Path(folder), "--managers", "2", "--agents", "8")
        try:
            prepare(lab)
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1120, "height": 760}, color_scheme="light")
            entries = lab.call("GET", "/v1/journal?kind=exchange&limit=1000")["entries"]
            hit = next(one["number"] for one in entries if one.get("faulted"))
            for name, path in [("verdict", "/"), ("client", "/clients/desk-1"), ("request", f"/timeline/{hit}")]:
                page.goto(lab.url + path)
                file = IMAGES / f"page-{name}.png"
                page.screenshot(path=file)
                subprocess.run([sys.executable, IMAGES / "palette.py", file], check=True)
                size = file.stat().st_size
                print(f"{file.name}: {size} bytes")
                if size > LARGEST:
                    sys.exit(f"{file}: expected at most {LARGEST} bytes")
            browser.close()
        finally:
            lab.stop()


main()
