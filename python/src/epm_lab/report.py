"""Why a rotation failed: findings, clients with layers of trust and known failures, the journal's last lines."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Union

from .api import ClientView, ControlApi, Finding, JournalEntry, Verdict, VerdictOrphaned
from .errors import LabError

#: The known failure that a finding is a case of, by the layer of trust that failed if it depends on that.
FAILURES: Dict[str, Dict[str, str]] = {
    "stores-equal": {"": "F10"},
    "group-forgotten": {"": "F04"},
    "location-forgotten": {"": "F05"},
    "list-over-https": {"": "F06"},
    "switch-left-on": {"tls": "F01", "signature": "F02"},
    "not-waited": {"": "F03"},
    "manager-too-early": {"": "F08"},
    "version-learns-one": {"": "F07"},
}
#: The findings of which a client that was orphaned fails exactly one.
OF_ORPHANED = {*FAILURES, "orphaned-otherwise"} - {"stores-equal"}
#: How many clients and entries of the journal are shown.
CLIENTS, ENTRIES = 20, 10
FINGERPRINT = re.compile(r"\b((?:[0-9A-F]{2}:){3}[0-9A-F]{2})(?::[0-9A-F]{2}){28}\b")


def rotation(api: ControlApi, finding: Finding, verdict: Verdict, late: Optional[str], again: str) -> str:
    """The message of a failed rotation. `late` says which heartbeats did not come, `again` repeats the lab."""
    wrong = [one for one in finding.findings if one.result != "pass"]
    lines = [f"the rotation is not as expected: {len(wrong)} of {len(finding.findings)} findings do not pass", ""]
    for one in wrong:
        case = FAILURES.get(one.code, {}).get("")
        lines.append(f"{one.code} ({one.result}{f', {case}' if case else ''}): {one.title}")
        lines += [f"  {example}" for example in one.counter_examples]
        more = one.against - len(one.counter_examples)
        lines += [f"  and {more} more"] if more > 0 else []
    lines += [f"note: {note}" for note in finding.notes]
    lines += [f"note: {late}"] if late else []
    lines += ["", *_clients(api, finding, verdict), "", *journal(api)]
    lines += ["", f"the same lab again: {again}"]
    return short("\n".join(lines))


def short(text: str) -> str:
    """A text with the first four bytes of each fingerprint, as `epm-lab check` prints it."""
    return FINGERPRINT.sub(lambda found: found[1].replace(":", ""), text)


def _clients(api: ControlApi, finding: Finding, verdict: Verdict) -> List[str]:
    """A line for each client, the orphaned ones first, and the titles of the failures that the lines name."""
    orphaned = {one.client: one for one in verdict.orphaned}
    clients = sorted(api.clients(limit=1000).clients, key=lambda one: one.client not in orphaned)
    lines = ["clients"]
    failures = {FAILURES.get(one.code, {}).get("") for one in finding.findings if one.result != "pass"}
    for one in clients[:CLIENTS]:
        if one.client not in orphaned:
            lines.append(f"  {one.client}: {_state(one)}")
            continue
        because = orphaned[one.client]
        failure = _failure(finding, because)
        failures.add(failure)
        case = f", {failure}" if failure else ""
        lines.append(f"  {_orphaned(because, case)}")
    more = len(clients) - CLIENTS
    lines += [f"  and {more} more"] if more > 0 else []
    for failure in sorted(filter(None, failures)):
        lines.append(f"{failure}: {api.failure(str(failure))['title']} (epm-lab failure show {failure})")
    return lines


def _orphaned(one: VerdictOrphaned, case: str = "") -> str:
    """A client that is orphaned, since when, and by which layer of trust."""
    return f"{one.client}: orphaned since {one.since}, layer {one.layer} ({one.layer_title}){case}: {one.why}"


def _state(client: ClientView) -> str:
    """What a client that is not orphaned holds."""
    state = client.view.health.get("state", "unknown")
    power = "" if client.on else ", off"
    return f"{state}{power}; it trusts {', '.join(client.view.certificates) or 'no certificate'}"


def _failure(finding: Finding, orphaned: VerdictOrphaned) -> Optional[str]:
    """The number of the known failure: of the finding that names the client, or of the only one that can mean it.

    None if neither is known: findings name some clients only.
    """
    cases = [one for one in finding.findings if one.result != "pass" and one.code in OF_ORPHANED]
    name = re.compile(rf"{re.escape(orphaned.client)}\b(?!-)")
    named = [one for one in cases if any(name.match(example) for example in one.counter_examples)]
    found = named or cases
    by_layer = FAILURES.get(found[0].code, {}) if len(found) == 1 else {}
    return by_layer.get(orphaned.layer, by_layer.get(""))


def journal(api: ControlApi, limit: int = ENTRIES) -> List[str]:
    """The journal's last lines, in order."""
    found = api.journal(limit=limit, partial=True)
    return [f"journal, the last {len(found.entries)} of {found.total} entries", *map(_entry, found.entries)]


def _entry(entry: JournalEntry) -> str:
    parts: List[Union[None, int, str]] = [
        entry.client or entry.user or entry.agent or entry.peer,
        entry.fault,
        entry.method,
        entry.path,
        entry.action,
    ]
    parts += [entry.status, entry.reason, entry.what, entry.text]
    return (
        f"  {entry.at} {entry.manager or '-'} {entry.kind}: {' '.join(str(one) for one in parts if one is not None)}"
    )


def of_a_test(api: ControlApi) -> str:
    """What a report of a failed test shows of its lab: who is not well, and the journal's last lines."""
    try:
        verdict = api.verdict()
        lines = [_orphaned(one) for one in verdict.orphaned[:CLIENTS]]
        return short("\n".join([*lines, *journal(api)]))
    except LabError as error:
        return str(error)
