"""Measures the page with a large fleet: how long views take, what is sent, the browser's memory, and what it costs the lab.

    EPM_LAB_PROGRAMS=target/release target/browser/bin/python tests/browser/large.py --clients 100000 --heartbeat 20 --seconds 60

Prints one line of JSON. CI does not run it: it needs a machine of its own.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time

from playwright.sync_api import sync_playwright

from conftest import Lab

TICK = os.sysconf("SC_CLK_TCK")
VIEWS = ["/", "/clients", "/clients?name=999", "/timeline", "/faults", "/snapshots"]


def spent(lab):
    """Processor time of the lab in seconds, and the number of the next entry of its journal."""
    fields = pathlib.Path(f"/proc/{lab.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK, lab.call("GET", "/v1/journal?limit=1")["next"]


def rate(lab, seconds):
    """Entries of the journal for each second of the lab's processor time."""
    (cpu, entries), _ = spent(lab), time.sleep(seconds)
    cpu_after, entries_after = spent(lab)
    return (entries_after - entries) / max(cpu_after - cpu, 0.001), (entries_after - entries) / seconds


def heap(page):
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--heartbeat", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--page-seconds", type=int, help="how long the page is open; defaults to --seconds")
    asked = parser.parse_args()
    page_seconds = asked.page_seconds or asked.seconds
    found = {"clients": asked.clients}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(pathlib.Path(folder), "--agents", str(asked.clients), "--heartbeat", str(asked.heartbeat))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--js-flags=--expose-gc"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        found["views"] = {}
        for path in VIEWS:
            began = time.monotonic()
            page.goto(lab.url + path)
            size = len(page.content())
            found["views"][path] = {"seconds": round(time.monotonic() - began, 3), "bytes": size, "rows": page.locator("tbody tr").count()}
        page.goto("about:blank")
        time.sleep(2)
        found["per_cpu_second_without"], found["entries_per_second"] = rate(lab, asked.seconds)
        page.goto(lab.url)
        received = []
        page.on("response", lambda answer: received.append(int(answer.headers.get("content-length", 0))))
        time.sleep(2)
        found["heap_before"] = heap(page)
        found["per_cpu_second_with"], entries = rate(lab, page_seconds)
        found["entries_with"] = round(entries * page_seconds)
        found["heap_after"] = heap(page)
        found["views_fetched_per_second"] = len(received) / page_seconds
        found["bytes_per_second"] = sum(received) / page_seconds
        browser.close()
        lab.stop()
    found["share_with_page"] = round(found["per_cpu_second_with"] / found["per_cpu_second_without"], 3)
    print(json.dumps(found))


main()
