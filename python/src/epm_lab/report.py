"""Why a rotation failed: findings, clients with layers of trust and known failures, the journal's last lines."""

from __future__ import annotations

import re
import urllib.parse
from typing import List, Optional, Union

from .api import ClientView, ControlApi, Finding, JournalEntry, Verdict, VerdictOrphaned
from .errors import LabError

#: How many clients and entries of the journal are shown.
CLIENTS, ENTRIES = 20, 10
FINGERPRINT = re.compile(r"\b((?:[0-9A-F]{2}:){3}[0-9A-F]{2})(?::[0-9A-F]{2}){28}\b")


def rotation(api: ControlApi, finding: Finding, verdict: Verdict, late: Optional[str], again: str) -> str:
    """The message of a failed rotation. `late` says which heartbeats did not come, `again` repeats the lab."""
    wrong = [one for one in finding.findings if one.result != "pass"]
    lines = [f"the rotation is not as expected: {len(wrong)} of {len(finding.findings)} findings do not pass", ""]
    for one in wrong:
        case = " or ".join(one.failures)
        lines.append(f"{one.code} ({one.result}{f', {case}' if case else ''}): {one.title}")
        lines += [f"  {example}" for example in one.counter_examples]
        more = one.against - len(one.counter_examples)
        lines += [f"  and {more} more"] if more > 0 else []
    lines += [f"note: {note}" for note in finding.notes]
    lines += [f"note: {late}"] if late else []
    lines += ["", *_clients(api, finding, verdict), "", *journal(api)]
    lines += ["", f"the page of the lab, while it runs: {api.url}/{_first(verdict)}"]
    lines += [f"the same lab again: {again}"]
    return short("\n".join(lines))


def _first(verdict: Verdict) -> str:
    """Where the page begins: at the first orphaned client."""
    return f"clients/{urllib.parse.quote(verdict.orphaned[0].client, safe='')}" if verdict.orphaned else ""


def short(text: str) -> str:
    """A text with the first four bytes of each fingerprint, as `epm-lab check` prints it."""
    return FINGERPRINT.sub(lambda found: found[1].replace(":", ""), text)


def _clients(api: ControlApi, finding: Finding, verdict: Verdict) -> List[str]:
    """A line for each client, the orphaned ones first, and the titles of the failures that the lines name."""
    orphaned = {one.client: one for one in verdict.orphaned}
    clients = sorted(api.clients(limit=1000).clients, key=lambda one: one.client not in orphaned)
    lines = ["clients"]
    failures = {failure for one in finding.findings if one.result != "pass" for failure in one.failures}
    for one in clients[:CLIENTS]:
        if one.client not in orphaned:
            lines.append(f"  {one.client}: {_state(one)}")
            continue
        because = orphaned[one.client]
        failures.update(filter(None, [because.failure]))
        lines.append(f"  {_orphaned(because)}")
    more = len(clients) - CLIENTS
    lines += [f"  and {more} more"] if more > 0 else []
    for failure in sorted(failures):
        lines.append(f"{failure}: {api.failure(failure)['title']} (epm-lab failure show {failure})")
    for reason in verdict.reasons or []:
        lines.append(f"why ({_counted(reason.clients)}): {reason.sentence}")
        lines.append(f"  to do: {reason.remedy}")
    for note in verdict.notes or []:
        lines.append(f"note ({_counted(note.clients)}): {note.sentence}")
        lines.append(f"  to do: {note.remedy}")
    return lines


def _counted(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"


def _orphaned(one: VerdictOrphaned) -> str:
    """A client that is orphaned, since when, by which layer of trust, and the known failure."""
    case = f", {one.failure}" if one.failure else ""
    return f"{one.client}: orphaned since {one.since}, layer {one.layer} ({one.layer_title}){case}: {one.why}"


def _state(client: ClientView) -> str:
    """What a client that is not orphaned holds."""
    state = client.view.health.get("state", "unknown")
    power = "" if client.on else ", off"
    return f"{state}{power}; it trusts {', '.join(client.view.certificates) or 'no certificate'}"


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
