"""Every operation is called once on a lab."""

import json
from typing import Any, Callable, Dict, Iterator, List

import pytest

import generate
from epm_lab import ControlApi, Lab
from epm_lab.api import CommunicationChange

GROUP, LIST = "My Company\\Of Python/one", "Default Management Server List for My Site"
ADD = {"add-group": {"group": "My Company\\Another"}}
UPDATE = {"update-certificate": {"manager": "sepm-1", "certificate": {"generate": {}}}}

#: In this order: what is read, then what is set, then what is undone. Each returns what has to be true of the answer.
CALLS: Dict[str, Callable[[ControlApi], Any]] = {
    "index": lambda api: api.index().name == "epm-lab" and api.index().addresses[1].manager == "sepm-2",
    "health": lambda api: api.health().ready,
    "site": lambda api: [one.name for one in api.site().managers] == ["sepm-1", "sepm-2"],
    "assumptions": lambda api: len(api.assumptions()) > 10,
    "assume": lambda api: {one.name: one.value for one in api.assume({"rest_throttle_calls": 50})}["rest_throttle_calls"] == "50",
    "failures": lambda api: len(api.failures()) > 40,
    "failure": lambda api: api.failure("F07")["id"] == "F07",
    "fault_kinds": lambda api: len(api.fault_kinds()) > 50,
    "clients": lambda api: api.clients(limit=1).total == 2 and len(api.clients(limit=1).clients) == 1,
    "client": lambda api: api.client("desk-1").view.health["state"] == "connected",
    "client_log": lambda api: api.client_log("desk-1").client == "desk-1",
    "operate_client": lambda api: api.operate_client("desk-1", {"do": "poke"}).on,
    "set_part": lambda api: api.set_part("extra", count=1, version="14.3").clients,
    "add_clients": lambda api: api.add_clients("extra", count=2).count == 3,
    "clock": lambda api: api.clock().now_ms > 0,
    "set_clock": lambda api: api.set_clock(speed=4).speed == 4,
    "pass_heartbeats": lambda api: api.pass_heartbeats(heartbeats=1, limit_seconds=20),
    "report_clients": lambda api: api.report_clients(
        "elsewhere",
        instance="one",
        began="2026-01-05T08:00:00Z",
        at="2026-01-05T08:00:00Z",
        interval_ms=60000,
        part=1,
        parts=1,
        states=[],
    ).clients
    == 0,
    "report_sources": lambda api: [one.source for one in api.report_sources()] == ["elsewhere"],
    "forget_source": lambda api: api.forget_source("elsewhere") == [],
    "take_snapshot": lambda api: api.take_snapshot("one").name == "one",
    "snapshots": lambda api: [one.name for one in api.snapshots()] != [],
    "take_baseline": lambda api: api.take_baseline("own").clients,
    "baseline": lambda api: api.baseline("own").settings.managers,
    "capture": lambda api: api.capture(minutes=1)[:4] == b"\n\r\r\n",
    "recorded_scenario": lambda api: "[[fleet]]" in api.recorded_scenario().scenario,
    "evidence": lambda api: api.evidence(capture=False)[:2] == b"PK",
    "baselines": lambda api: {"own", "start"} <= {one.name for one in api.baselines()},
    "remove_baseline": lambda api: "own" not in {one.name for one in api.remove_baseline("own")},
    "set_group": lambda api: api.set_group(
        GROUP, inherits=False, communication=CommunicationChange(heartbeat_seconds=1)
    ),
    "group": lambda api: not api.group(GROUP).inherits,
    "groups": lambda api: GROUP in {one.group for one in api.groups()},
    "set_location": lambda api: api.set_location(GROUP, "Home", communication={"mode": "push"}).locations,
    "set_policy": lambda api: api.set_policy(GROUP, "Firewall", content="allow all").policies,
    "update_package": lambda api: api.update_package(GROUP).startswith(b"PK"),
    "deploy_update_package": lambda api: api.deploy_update_package(GROUP, clients=[]).group == GROUP,
    "sylink": lambda api: b"ServerList" in api.sylink(GROUP),
    "set_list": lambda api: api.set_list("copy", copy_of=LIST, protocol="http").protocol == "http",
    "list": lambda api: api.list("copy").name == "copy",
    "lists": lambda api: len(api.lists()) == 2,
    "assign_list": lambda api: api.assign_list("copy", group=GROUP).used_by[0].group == GROUP,
    "remove_list": lambda api: api.set_list("another", copy_of=LIST) and len(api.remove_list("another")) == 2,
    "set_package": lambda api: api.set_package("tool", b"\x00content").bytes == 8,
    "assign_package": lambda api: api.assign_package("tool", group=GROUP).packages,
    "give_commands": lambda api: api.give_commands([ADD]).commands == 1,
    "set_fault": lambda api: api.set_fault("busy", name="busy", what="latency").fault.name == "busy",
    "preview_fault": lambda api: api.preview_fault("busy", name="busy", what="latency").hit > 0,
    "faults": lambda api: api.faults()[0].fault.probability == 1.0,
    "remove_fault": lambda api: api.remove_fault("busy") == [],
    "clear_faults": lambda api: api.clear_faults() == [],
    "expect": lambda api: api.expect("well", {"expect": "no-client-is-orphaned"}).result == "pass",
    "findings": lambda api: api.findings().expectations[0].name == "well",
    "find": lambda api: api.find([{"expect": "rotation"}]).expectations[0].findings[0].code == "certificate-new",
    "expect_no_longer": lambda api: api.expect_no_longer("well") == [],
    "verdict": lambda api: api.verdict().certificates["sepm-1"] and b"<testsuites" in api.verdict_as("junit"),
    "if_now": lambda api: api.if_now([UPDATE]).would_be_orphaned >= 0,
    "journal": lambda api: (
        api.journal(limit=2, kind="exchange").entries[1].action and api.journal_as("ndjson", limit=2)
    ),
    "count_journal": lambda api: api.count_journal(partial=True).total > 0,
    "near_misses": lambda api: api.near_misses() == [],
    "tail_journal": lambda api: next(api.tail_journal(timeout=20))["number"] > 0,
    "certificate": lambda api: api.certificate("sepm-1").stores.console.pem.startswith("-----BEGIN"),
    "update_certificate": lambda api: api.update_certificate("sepm-1", "first").history[0].update == "first",
    "set_replication": lambda api: not api.set_replication("sepm-2", replicates=False).replicates,
    "replication": lambda api: (
        api.set_replication("sepm-2", replicates=True) and api.replication("sepm-2").replicates
    ),
    "restart_manager": lambda api: api.restart_manager("sepm-1", service="semwebsrv").stopped == [],
    "back_up_manager": lambda api: api.back_up_manager("sepm-1").startswith(b"PK"),
    "restore_manager": lambda api: api.restore_manager("sepm-1", api.back_up_manager("sepm-1")).manager == "sepm-1",
    "advance_clock": lambda api: api.set_clock(speed=0) and api.advance_clock(by="2s").now,
    "snapshot_changes": lambda api: api.snapshot_changes("one").snapshot == "one",
    "restore_snapshot": lambda api: api.restore_snapshot("one").restored == "one",
    "remove_snapshot": lambda api: "one" not in {left.name for left in api.remove_snapshot("one")},
    "reset": lambda api: api.reset().restored,
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    capture = tmp_path_factory.mktemp("capture") / "lab.pcapng"
    with Lab.start(managers=2, agents=2, options=["--pcap", str(capture)]) as lab:
        yield lab


def test_every_operation_is_called_and_answers_as_described(lab: Lab) -> None:
    document = json.loads(generate.DOCUMENT.read_text(encoding="utf-8"))
    operations = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert sorted(CALLS) == sorted(map(generate.snake, operations))
    wrong: List[str] = [name for name, call in CALLS.items() if not call(lab.api)]
    assert wrong == []
