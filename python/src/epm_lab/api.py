"""The control API of a lab: a dataclass for each object, a method for each operation.

Written by python/generate.py from fixtures/forms/control-api.openapi.json; edit neither this file nor its order.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field

from ._http import JsonObject, Transport, quote
from .errors import HIDDEN

__tracebackhide__ = HIDDEN


@dataclass(frozen=True)
class Addresses:
    """The addresses of one manager."""

    #: URL of the browser test over HTTP.
    hello: str

    #: Base URL for HTTP.
    http: str

    #: Base URL for HTTPS.
    https: str

    #: Name of the manager.
    manager: str

    #: Base URL of the manager's REST API; absent without one.
    rest: typing.Optional[str] = None


@dataclass(frozen=True)
class Index:
    """Name, version and addresses of the lab."""

    #: What the program is, and what it is not.
    about: str

    #: Addresses of each manager.
    addresses: typing.List[Addresses]

    #: Name of the program.
    name: str

    #: Path of the OpenAPI document.
    openapi: str

    #: Name of the site.
    site: str

    #: Version of the program.
    version: str


@dataclass(frozen=True)
class AssumptionStatement:
    """A statement of the procedure. Input is the number alone; output has the number and the title."""

    #: The number, `P1` to `P20`.
    number: str

    #: The title of the statement, as in `docs/procedure.md`.
    title: str


@dataclass(frozen=True)
class Assumption:
    """One assumption, as it is listed."""

    #: What the assumption decides, and why this default.
    about: str

    #: The accepted values, in words.
    accepts: str

    #: Whether a new value takes effect in a running lab at once. The others do at the next reset of the lab.
    at_once: bool

    #: The value when nothing is set.
    default: str

    #: The mark of the assumption: how well it is founded.
    mark: typing.Literal["C", "I", "R", "U"]

    #: The name of the field in a scenario's `[assumptions]`.
    name: str

    #: The statements of the documented procedure that it decides about, by number and title.
    statements: typing.List[AssumptionStatement]

    #: The value in force.
    value: str

    #: The value from the next reset of the lab on; absent if it stays.
    next: typing.Optional[str] = None


@dataclass(frozen=True)
class BaselineInfo:
    """Description of a baseline."""

    #: Lab time of the baseline.
    at: str

    #: Number of clients in the baseline.
    clients: int

    #: Number of the journal's next entry.
    journal: int

    #: Name of the baseline.
    name: str


@dataclass(frozen=True)
class BaselineClient:
    """State of a client at a baseline."""

    #: Number of heartbeats that the client has begun.
    heartbeats: int

    #: Whether the client's machine is on.
    on: bool

    #: Part of the fleet that the client belongs to.
    part: str

    #: Whether a manager served the client.
    served: bool

    #: Full path of the client's group; absent before the client has received a policy.
    group: typing.Optional[str] = None

    #: Location of the client; the group's default location when absent.
    location: typing.Optional[str] = None


@dataclass(frozen=True)
class RotationSettingsGroupsCommunication:
    """How clients of the group communicate."""

    #: Whether clients connect to their manager at all.
    connect: bool

    #: Whether clients download policies and lists from their manager.
    download_profile: bool

    #: The heartbeat interval in seconds, in either mode; 300 in the product [C S13].
    heartbeat_seconds: int

    #: Pull mode, with heartbeats at an interval, or push mode, with a held connection.
    mode: typing.Literal["push", "pull"]

    #: Whether downloads of content are spread at random over `randomization_range`.
    randomization_enabled: bool

    #: The period, in seconds, over which downloads are spread; 300 in the product's sample [C S17].
    randomization_range: int


@dataclass(frozen=True)
class RotationSettingsGroupsListPriority:
    """A server of a list."""

    #: The name of the manager.
    manager: str

    #: The address for clients; the manager's own if absent.
    address: typing.Optional[str] = None

    #: A custom HTTP port; the manager's own if absent.
    http_port: typing.Optional[int] = None

    #: A custom HTTPS port; the manager's own if absent.
    https_port: typing.Optional[int] = None


@dataclass(frozen=True)
class RotationSettingsGroupsList:
    """Management server list of the group."""

    #: Name of the list.
    name: str

    #: Servers of the list, one block per priority.
    priorities: typing.List[typing.List[RotationSettingsGroupsListPriority]]

    #: Protocol that clients use.
    protocol: typing.Literal["http", "https"]

    #: Whether clients also check the server's name against its certificate.
    verify_ca: bool


@dataclass(frozen=True)
class RotationSettingsGroups:
    """Settings in effect for a group."""

    #: Whether the group inherits everything from its parent.
    inherits: bool

    #: Management server list of the group.
    list: RotationSettingsGroupsList

    #: Locations of the group, by name, each with its own list; null where the group's list applies.
    locations: typing.Dict[str, typing.Optional[RotationSettingsGroupsList]]

    #: Whether clients of the group authenticate their manager.
    secure_communications: bool

    #: How clients of the group communicate. Defaults to `{"connect": true, "download_profile": true,
    #: "heartbeat_seconds": 300, "mode": "pull", "randomization_enabled": true, "randomization_range": 300}`.
    communication: typing.Optional[RotationSettingsGroupsCommunication] = None

    #: How clients communicate in locations with settings of their own, by location. Defaults to `{}`.
    location_communication: typing.Optional[typing.Dict[str, RotationSettingsGroupsCommunication]] = None


@dataclass(frozen=True)
class RotationSettingsManagers:
    """Certificates of a manager: SHA-256 fingerprints."""

    #: Certificate in the store of the clients' port, which that port presents.
    client: str

    #: Certificate in the console's store, which the REST API presents.
    console: str


@dataclass(frozen=True)
class RotationSettings:
    """Certificates, lists and switches."""

    #: Settings of each group, by its full path.
    groups: typing.Dict[str, RotationSettingsGroups]

    #: Names of all management server lists.
    lists: typing.List[str]

    #: Certificates of each manager, by its name.
    managers: typing.Dict[str, RotationSettingsManagers]


@dataclass(frozen=True)
class Baseline:
    """State of a lab before a rotation."""

    #: Lab time of the baseline.
    at: str

    #: State of each client, by computer name.
    clients: typing.Dict[str, BaselineClient]

    #: Number of the journal's next entry.
    journal: int

    #: Name of the baseline.
    name: str

    #: Certificates, lists and switches.
    settings: RotationSettings

    #: Computer names of the registered clients whose state was not known. Defaults to `[]`.
    unknown: typing.Optional[typing.List[str]] = None


#: State of a client's machine.
Machine = typing.Literal["on", "off", "frozen"]


#: How the verdict finds a client, as the lists of the verdict are named.
ClientStanding = typing.Literal["well", "orphaned", "out-of-touch", "not-secure", "behind", "silent", "away"]


#: State of a client's connection with its managers.
ClientState = typing.Literal["new", "connected", "disconnected", "orphaned"]


@dataclass(frozen=True)
class AgentViewHarm:
    """What has happened to the client that no rotation should do; absent if nothing has."""

    #: The number of times that the client became orphaned. Defaults to `0`.
    orphaned: typing.Optional[int] = None

    #: The number of policies that the client adopted without a verified signature. Defaults to `0`.
    unsigned: typing.Optional[int] = None


@dataclass(frozen=True)
class AgentViewServer:
    """The server that the client tries first."""

    #: The host name or IP address.
    address: str

    #: The TCP port.
    port: int

    #: The protocol of that port.
    protocol: typing.Literal["http", "https"]

    #: Whether the server's certificate must contain the server's name.
    verify_ca: bool


@dataclass(frozen=True)
class AgentView:
    """State of the client: what it holds, and how its heartbeats go."""

    #: Whether the client was orphaned, and an imported communications file has brought it back.
    brought_back: bool

    #: The certificates that the client trusts.
    certificates: typing.List[str]

    #: The name of the client's computer.
    computer_name: str

    #: The state of the client's contact with its managers.
    health: JsonObject

    #: The number of heartbeats that the client has begun.
    heartbeats: int

    #: The number of heartbeats in which a manager served the client.
    heartbeats_served: int

    #: The name of the client's management server list.
    list: str

    #: Whether the client is disconnected from the network, except from its managers.
    quarantined: bool

    #: Whether the client authenticates its manager.
    secure_communications: bool

    #: The version of the client.
    version: str

    #: The serial of the last policy for which the client also holds the list and the packages that belong to it.
    complete: typing.Optional[str] = None

    #: Whether the client downloads neither policies nor lists, by its communication settings.
    downloads_off: typing.Optional[bool] = None

    #: Whether the client was given a communications file without a certificate that it knew, and has not met a
    #: manager since. Defaults to `false`.
    given_older_file: typing.Optional[bool] = None

    #: The group that the client's policy is for.
    group: typing.Optional[str] = None

    #: What has happened to the client that no rotation should do; absent if nothing has.
    harm: typing.Optional[AgentViewHarm] = None

    #: The location of the client; the default one if none.
    location: typing.Optional[str] = None

    #: The certificate whose key signed that policy; none if it was adopted without authentication.
    policy_vouched_by: typing.Optional[str] = None

    #: The group that the client's communications file prefers: where the client registers, if there is such a group.
    preferred_group: typing.Optional[str] = None

    #: The serial of the policy that the client holds.
    serial: typing.Optional[str] = None

    #: Whether a manager has served the client since it got its communications file. Defaults to `false`.
    served_with_file: typing.Optional[bool] = None

    #: The server that the client tries first.
    server: typing.Optional[AgentViewServer] = None


@dataclass(frozen=True)
class ClientView:
    """A client of the fleet and its current state."""

    #: Computer name of the client.
    client: str

    #: Whether the client is frozen.
    frozen: bool

    #: Whether the client's machine is on.
    on: bool

    #: Part of the fleet that the client belongs to.
    part: str

    #: Whether the client is on, and has begun no heartbeat for three intervals.
    silent: bool

    #: State of the client: what it holds, and how its heartbeats go.
    view: AgentView

    #: Source that reports the client, which runs outside of the lab's process; absent for a client of the lab.
    reported_by: typing.Optional[str] = None


@dataclass(frozen=True)
class Clients:
    """A page of clients."""

    #: Clients of this page.
    clients: typing.List[ClientView]

    #: Number of skipped clients.
    offset: int

    #: Number of matching clients.
    total: int


@dataclass(frozen=True)
class Orphaning:
    """A period in which a client was orphaned."""

    #: Expected and found value.
    because: JsonObject

    #: Code of the layer of trust that failed.
    layer: typing.Literal["tls", "signature", "shared-secret"]

    #: Title of the layer of trust that failed, for people.
    layer_title: str

    #: Lab time at which the client became orphaned.
    since: str

    #: Lab time at which the client was found to be served again; absent while it is orphaned.
    until: typing.Optional[str] = None


@dataclass(frozen=True)
class Unsigned:
    """A policy that was adopted without a verified signature."""

    #: Lab time at which the adoption was recorded.
    at: str

    #: Serial number of the policy.
    serial: str


@dataclass(frozen=True)
class Trace:
    """Recorded history of a client."""

    #: Certificates that the client holds, each with the number of the heartbeat since which it does.
    certificates: typing.List[typing.Tuple[str, int]]

    #: Number of dropped events; the latest of each kind are kept.
    forgotten: int

    #: Periods in which the client was orphaned, oldest first.
    orphaned: typing.List[Orphaning]

    #: Policies that the client adopted without a verified signature.
    unsigned: typing.List[Unsigned]


@dataclass(frozen=True)
class LastServer:
    """Server that the client uses until it fails."""

    #: The server that the client stays with.
    server: AgentViewServer

    #: The time since when it has served the client without interruption.
    since: str


@dataclass(frozen=True)
class WholeClient:
    """A client of the fleet with all its state."""

    #: Computer name of the client.
    client: str

    #: Whether the client is frozen.
    frozen: bool

    #: Whether the client's machine is on.
    on: bool

    #: Checksum of each package that the client has.
    packages: typing.Dict[str, str]

    #: Part of the fleet that the client belongs to.
    part: str

    #: State of the client's connection, as a text for people.
    status_detail: str

    #: State of the client: what it holds, and how its heartbeats go.
    view: AgentView

    #: Recorded history of the client; absent before its first heartbeat.
    history: typing.Optional[Trace] = None

    #: Server that the client uses until it fails.
    last_server: typing.Optional[LastServer] = None

    #: Lab time of the client's next action; absent while one is under way, and for a client that is off or runs
    #: elsewhere.
    next_heartbeat: typing.Optional[str] = None

    #: Source that reports the client, which runs outside of the lab's process; absent for a client of the lab.
    reported_by: typing.Optional[str] = None


@dataclass(frozen=True)
class ClientLogLine:
    """A line of a client's log."""

    #: Lab time of the event.
    at: str

    #: Number of the event, in eight hexadecimal digits.
    event: str

    #: Text of the line: that of the product's client, then what was expected and what was found.
    text: str


@dataclass(frozen=True)
class ClientLog:
    """Lines of a client's log."""

    #: Computer name of the client.
    client: str

    #: Number of lines of all clients that were dropped: some of them may have been of this client.
    dropped: int

    #: The latest lines, oldest first.
    lines: typing.List[ClientLogLine]


#: An action on a client. One of: {"do": "poke"}, {"do": "freeze"}, {"do": "thaw"}, {"do": "offline"}, {"do":
#: "online"}, {"do": "location", "location"}, {"do": "reimage"}, {"do": "import", "group", "location", "sylink"},
#: {"do": "move", "group"}.
ClientOperation = JsonObject


@dataclass(frozen=True)
class PauseView:
    """Pause between two changes of the site."""

    #: Lab time of the change before the pause.
    from_: str = field(metadata={"key": "from"})

    #: Length of the pause in milliseconds of real time.
    lasted_ms: int

    #: Milliseconds of real time in the pause for which the clock ran by itself.
    ran_ms: int

    #: Lab time of the change after the pause.
    to: str

    #: Number of heartbeats that the managers answered in the pause; absent on a site of several processes, where it
    #: is not known.
    heartbeats: typing.Optional[int] = None


@dataclass(frozen=True)
class ClockView:
    """State of the clock."""

    #: Milliseconds of real time for which the clock still stands after the last change of the site.
    held_ms: int

    #: The longest pauses between two changes of the site, the longest first.
    longest_pauses: typing.List[PauseView]

    #: Lab time at the moment of the answer.
    now: str

    #: Lab time in milliseconds since 1970.
    now_ms: int

    #: Speed as a multiple of real time; 0 while the clock is stopped.
    speed: int

    #: Real time for which the clock stands after each change of the site; absent without a hold.
    hold: typing.Optional[str] = None


@dataclass(frozen=True)
class AppliedCommands:
    """Result of commands."""

    #: Number of commands.
    commands: int

    #: Number of changes that the commands caused.
    effects: int


#: An expectation about the fleet of a lab. One of: {"expect": "every-client-holds", "fingerprint",
#: "within_heartbeats"}, {"expect": "every-client-is-up-to-date"}, {"expect": "every-client-is-served"}, {"expect":
#: "every-client-is-secure"}, {"expect": "no-client-is-orphaned"}, {"expect": "no-client-was-orphaned"}, {"expect":
#: "no-unsigned-policy-was-adopted"}, {"expect": "no-client-was-turned-away"}, {"expect": "rotation",
#: "least_heartbeats", "left_behind", "never_insecure", "rotates", "since"}.
Expectation = JsonObject


#: Code of a finding about a rotation.
RotationCode = typing.Literal[
    "certificate-new",
    "stores-equal",
    "certificate-valid",
    "certificate-names-server",
    "others-unchanged",
    "services-up",
    "files-read",
    "console-connects",
    "inheritance-restored",
    "list-restored",
    "switch-restored",
    "communication-restored",
    "replication-restored",
    "group-forgotten",
    "location-forgotten",
    "list-over-https",
    "switch-left-on",
    "not-waited",
    "manager-too-early",
    "version-learns-one",
    "orphaned-otherwise",
    "clients-served",
    "policy-current",
    "client-switch",
    "policy-vouched",
    "never-insecure",
    "certificates-held",
    "absent-return",
    "heartbeats-between-steps",
]


#: Outcome of an expectation.
FindingResult = typing.Literal["pass", "fail", "pending", "unknown"]


@dataclass(frozen=True)
class RotationFinding:
    """One finding about a rotation."""

    #: Number of counter-examples.
    against: int

    #: Stable code of the finding.
    code: RotationCode

    #: Some of the managers, groups or clients that contradict the sentence, each with the reason.
    counter_examples: typing.List[str]

    #: Numbers of the failures in the catalogue that the counter-examples are cases of, such as `F03`; empty if none
    #: fits.
    failures: typing.List[str]

    #: Point of the judgement that the finding belongs to, from 1 to 8.
    point: int

    #: Outcome of the finding.
    result: FindingResult

    #: Sentence that is true if the finding passes.
    title: str

    #: What to do; absent where the catalogue has no such failure.
    remedy: typing.Optional[str] = None


@dataclass(frozen=True)
class Finding:
    """Result of an expectation."""

    #: Number of clients that do not meet the expectation.
    against: int

    #: Number of clients that the expectation was judged for.
    clients: int

    #: Some of the clients that do not meet the expectation, each with the reason.
    counter_examples: typing.List[str]

    #: The expectation.
    expectation: Expectation

    #: The findings of a rotation, each with a result of its own; none for another expectation.
    findings: typing.List[RotationFinding]

    #: Name of the expectation.
    name: str

    #: Reasons why the expectation cannot be judged; empty where there is a judgement.
    not_judged: typing.List[str]

    #: Facts about a rotation that are reported and fail nothing.
    notes: typing.List[str]

    #: Outcome of the expectation.
    result: FindingResult


@dataclass(frozen=True)
class Findings:
    """Results of expectations."""

    #: Result of each expectation.
    expectations: typing.List[Finding]

    #: Overall outcome: fail if one expectation fails, unknown if one cannot be judged or without any, pending if one
    #: can still be met, otherwise pass.
    result: FindingResult

    #: Command that starts the same lab again; absent where it is not known.
    repeat: typing.Optional[str] = None


#: Format of a response.
Format = typing.Literal["json", "ndjson", "har", "junit"]


@dataclass(frozen=True)
class FailureTitle:
    """ID and title of a known failure."""

    #: ID of the failure, such as F07.
    id: str

    #: Title of the failure.
    title: str


@dataclass(frozen=True)
class KindInfoParameter:
    """A parameter of a kind of fault with its documentation."""

    #: The purpose of the parameter.
    about: str

    #: The default value, as text.
    default: str

    #: The name of the parameter, with the unit last.
    name: str


@dataclass(frozen=True)
class KindInfo:
    """A kind of fault with its documentation."""

    #: The effect of the fault.
    about: str

    #: Other tools' names of the kind.
    aliases: typing.List[str]

    #: The layer at which the kind acts.
    layer: typing.Literal["listener", "tcp", "tls", "certificate", "http", "artifact", "list", "site"]

    #: The name of the kind.
    name: str

    #: The parameters of the kind.
    parameters: typing.List[KindInfoParameter]

    #: The effect of the fault on a client in virtual time.
    virtual_time: str


@dataclass(frozen=True)
class FaultRuleWhen:
    """The time and the occasions that the fault applies to; all if left out."""

    #: Skips the first N occasions.
    after: typing.Optional[int] = None

    #: Applies only to every Nth of the remaining occasions: 3 is the third, the sixth, and so on.
    every: typing.Optional[int] = None

    #: Applies only to the first N of the occasions that are left.
    first: typing.Optional[int] = None

    #: The moment from which the fault applies; since it was added if left out.
    from_: typing.Optional[str] = field(default=None, metadata={"key": "from"})

    #: The lifetime of the fault, in seconds after it was added.
    time_to_live_seconds: typing.Optional[int] = None

    #: The moment until which the fault applies, exclusive.
    until: typing.Optional[str] = None


@dataclass(frozen=True)
class FaultRuleWhere:
    """The managers, listeners and routes that the fault applies to; all if left out."""

    #: The direction of the affected bytes; those to the client if left out.
    direction: typing.Optional[typing.Literal["to-manager", "to-client", "both"]] = None

    #: The listener: that of the REST API, or the clients' by its protocol; both of the clients' if left out.
    listener: typing.Optional[typing.Literal["http", "https", "both", "rest"]] = None

    #: A manager, by name.
    manager: typing.Optional[str] = None

    #: The kind of request. A fault of the connection's bytes with a route affects the answer on that route; without
    #: one, the connection from its beginning.
    route: typing.Optional[
        typing.Literal["hello", "register", "index", "policy", "list", "package", "upload", "hold"]
    ] = None


@dataclass(frozen=True)
class FaultRuleWhomVersion:
    """The clients of a range of versions."""

    #: The first version of the range.
    from_: typing.Optional[str] = field(default=None, metadata={"key": "from"})

    #: The first version after the range.
    until: typing.Optional[str] = None


@dataclass(frozen=True)
class FaultRuleWhom:
    """The clients that the fault applies to; all if left out."""

    #: A client, by its identifier or its computer's name; a `*` at the end matches any characters.
    agent: typing.Optional[str] = None

    #: The clients of a group, by its full path, and of the groups below it.
    group: typing.Optional[str] = None

    #: A share of the fleet in per cent, 0 to 100; always the same clients for a fault of this name.
    percent: typing.Optional[float] = None

    #: The source IP address of the client.
    source: typing.Optional[str] = None

    #: The clients of a range of versions.
    version: typing.Optional[FaultRuleWhomVersion] = None


@dataclass(frozen=True)
class FaultRule:
    """Rule of the fault."""

    #: The name of the fault, unique among the faults of a lab. Random decisions depend on it: two faults with the
    #: same rule and different names hit different occasions.
    name: str

    #: The kind of fault: its name, if the defaults of its parameters will do, or a table with `kind` and parameters.
    what: typing.Any

    #: The probability with which a matching occasion is hit, from 0 (never) to 1 (always); 1 if left out.
    probability: typing.Optional[float] = None

    #: The time and the occasions that the fault applies to; all if left out.
    when: typing.Optional[FaultRuleWhen] = None

    #: The managers, listeners and routes that the fault applies to; all if left out.
    where: typing.Optional[FaultRuleWhere] = None

    #: The clients that the fault applies to; all if left out.
    whom: typing.Optional[FaultRuleWhom] = None


@dataclass(frozen=True)
class WithoutEffect:
    """A manager at which a fault has no effect yet."""

    #: What the fault needs and the manager does not have.
    lacks: str

    #: Name of the manager.
    manager: str


@dataclass(frozen=True)
class SetFault:
    """An active fault."""

    #: Lab time at which the fault expires.
    ends_at: str

    #: Rule of the fault.
    fault: FaultRule

    #: Lab time at which the fault was added.
    set_at: str

    #: Managers at which the fault has no effect yet, because nothing was replaced there.
    without_effect: typing.List[WithoutEffect]


@dataclass(frozen=True)
class PreviewedClient:
    """A client that a fault would hit."""

    #: Computer name of the client.
    client: str

    #: Ordinals of the occasions that would be hit, from 1.
    ordinals: typing.List[int]


@dataclass(frozen=True)
class FaultPreview:
    """What a fault would hit."""

    #: Number of occasions of each client that were asked about: connections, or exchanges on the route of the fault,
    #: else the index.
    asked: int

    #: Number of clients that were asked about.
    clients: int

    #: The first clients that would be hit.
    examples: typing.List[PreviewedClient]

    #: Number of clients that would be hit.
    hit: int


@dataclass(frozen=True)
class PartNow:
    """A part of the fleet."""

    #: Computer names of the clients.
    clients: typing.List[str]

    #: Number of clients in the part.
    count: int

    #: Name of the part.
    part: str


@dataclass(frozen=True)
class CommunicationSettings:
    """Communication settings of the clients."""

    #: Whether clients connect to their manager at all.
    connect: bool

    #: Whether clients download policies and lists from their manager.
    download_profile: bool

    #: The heartbeat interval in seconds, in either mode; 300 in the product [C S13].
    heartbeat_seconds: int

    #: Pull mode, with heartbeats at an interval, or push mode, with a held connection.
    mode: typing.Literal["push", "pull"]

    #: Whether downloads of content are spread at random over `randomization_range`.
    randomization_enabled: bool

    #: The period, in seconds, over which downloads are spread; 300 in the product's sample [C S17].
    randomization_range: int


@dataclass(frozen=True)
class LocationView:
    """A location. Without its own list and settings, those of the group apply."""

    #: Identifier of the location.
    id: str

    #: Name of the location.
    name: str

    #: Communication settings of the location itself.
    communication: typing.Optional[CommunicationSettings] = None

    #: Name of the location's own list.
    list: typing.Optional[str] = None


@dataclass(frozen=True)
class GroupView:
    """A group and the settings in effect for it."""

    #: Communication settings of the clients.
    communication: CommunicationSettings

    #: Full path of the group.
    group: str

    #: Identifier of the group.
    id: str

    #: Whether the group inherits everything from its parent.
    inherits: bool

    #: Name of the management server list.
    list: str

    #: Locations of the group.
    locations: typing.List[LocationView]

    #: Names of the packages that clients should have.
    packages: typing.List[str]

    #: Names of the policies.
    policies: typing.List[str]

    #: Whether clients authenticate their manager.
    secure_communications: bool

    #: Serial number of the policy.
    serial: str

    #: Full path of the group that the settings come from.
    settings_of: str


@dataclass(frozen=True)
class CommunicationChange:
    """Communication settings of the clients."""

    #: Whether clients connect to their manager at all.
    connect: typing.Optional[bool] = None

    #: Whether clients download policies and lists from their manager.
    download_profile: typing.Optional[bool] = None

    #: The heartbeat interval in seconds, at least 1.
    heartbeat_seconds: typing.Optional[int] = None

    #: Pull mode, with heartbeats at an interval, or push mode, with a held connection.
    mode: typing.Optional[typing.Literal["push", "pull"]] = None

    #: Whether downloads of content are spread at random over `randomization_range`.
    randomization_enabled: typing.Optional[bool] = None

    #: The period, in seconds, over which downloads are spread.
    randomization_range: typing.Optional[int] = None


@dataclass(frozen=True)
class Deployed:
    """Result of a deployment."""

    #: Clients that imported the package.
    delivered: typing.List[str]

    #: Group that the package is made for.
    group: str

    #: Clients that were not reached, because their machine is off.
    off: typing.List[str]


#: A service of a manager, by its name in the product.
Service = typing.Literal["semsrv", "semwebsrv"]


@dataclass(frozen=True)
class Health:
    """Readiness of the lab."""

    #: Name of this lab that no other one has, as in its ready file.
    instance: str

    #: Lab time at the moment of the answer.
    now: str

    #: Whether the lab is ready; always true in a response.
    ready: bool

    #: Why each of them is down.
    service_errors: typing.Dict[str, typing.Dict[str, str]]

    #: Services that are down, by manager.
    services_down: typing.Dict[str, typing.List[Service]]


#: Kinds of journal entries; each is bounded separately.
Kind = typing.Literal["exchange", "connection-closed", "fault-applied", "fault-skipped", "call", "operator-action"]


@dataclass(frozen=True)
class JournalEntry:
    """An entry of the journal; fields that do not apply to its kind are absent."""

    #: Lab time of the entry.
    at: str

    #: Kind of the entry.
    kind: Kind

    #: Number of the entry; entries of all kinds are numbered together, from 1.
    number: int

    #: For an exchange: what was requested.
    action: typing.Optional[str] = None

    #: Identifier of the client.
    agent: typing.Optional[str] = None

    #: For a call: body of the request, without passwords and tokens, at most 8 KiB of it.
    body: typing.Optional[str] = None

    #: Computer name of the client.
    client: typing.Optional[str] = None

    #: For an exchange or a call: real time from the request to its response, in milliseconds.
    duration_ms: typing.Optional[float] = None

    #: For an applied fault: name of the fault.
    fault: typing.Optional[str] = None

    #: For an exchange or a closed connection: whether a fault acted on it.
    faulted: typing.Optional[bool] = None

    #: Name of the manager.
    manager: typing.Optional[str] = None

    #: For a call: HTTP method.
    method: typing.Optional[str] = None

    #: For an applied fault: whether a connection or an exchange was hit.
    moment: typing.Optional[typing.Literal["connection", "exchange"]] = None

    #: For a call: what the identifiers in its path, query and body stand for, as far as the site has it now: groups,
    #: locations and clients, by identifier.
    names: typing.Optional[typing.Dict[str, str]] = None

    #: For an applied fault: ordinal of the client's connection or exchange, from 1.
    ordinal: typing.Optional[int] = None

    #: For a call: path.
    path: typing.Optional[str] = None

    #: Address of the peer.
    peer: typing.Optional[str] = None

    #: For a call: query, without passwords and tokens.
    query: typing.Optional[str] = None

    #: For a closed connection: silent, stalled, handshake or http.
    reason: typing.Optional[str] = None

    #: For an applied fault: route of the exchange; absent for a connection.
    route: typing.Optional[
        typing.Literal["hello", "register", "index", "policy", "list", "package", "upload", "hold"]
    ] = None

    #: For an exchange or a call: status of the response.
    status: typing.Optional[int] = None

    #: Description of the entry for people.
    text: typing.Optional[str] = None

    #: For an exchange: whether it used TLS.
    tls: typing.Optional[bool] = None

    #: For an exchange or a call: header `traceparent` of the request.
    traceparent: typing.Optional[str] = None

    #: For a call: user of the token.
    user: typing.Optional[str] = None

    #: For an applied fault: what the fault does; for an operator action: what was done.
    what: typing.Optional[str] = None


@dataclass(frozen=True)
class Entries:
    """Entries of the journal."""

    #: Whether no matching entry can have been dropped.
    complete: bool

    #: Latest matching entries, oldest first.
    entries: typing.List[JournalEntry]

    #: Number of dropped entries of all kinds.
    forgotten: int

    #: Number that the next entry will get.
    next: int

    #: Number of kept entries that match.
    total: int


@dataclass(frozen=True)
class EntryCount:
    """Number of matching entries."""

    #: Number of matching entries per kind, action and status.
    by: typing.Dict[str, int]

    #: Number of dropped entries of all kinds.
    forgotten: int

    #: Number of matching entries.
    total: int


@dataclass(frozen=True)
class NearMiss:
    """An entry about a request that came close to a valid one."""

    #: The entry of the request.
    entry: JournalEntry

    #: What was wrong with the request.
    why: str


@dataclass(frozen=True)
class ListUser:
    """A group or location that uses a list."""

    #: Full path of the group.
    group: str

    #: Location; absent for the group itself.
    location: typing.Optional[str] = None


@dataclass(frozen=True)
class ListView:
    """A management server list as in the console, with its assignments."""

    #: Whether this is the site's default list.
    default: bool

    #: Name of the list.
    name: str

    #: Servers of the list, one block per priority.
    priorities: typing.List[typing.List[RotationSettingsGroupsListPriority]]

    #: Protocol that clients use.
    protocol: typing.Literal["http", "https"]

    #: Groups and locations that use the list.
    used_by: typing.List[ListUser]

    #: Whether clients also check the server's name against its certificate.
    verify_ca: bool


@dataclass(frozen=True)
class Update:
    """A named update of a manager's certificate."""

    #: Lab time of the update.
    at: str

    #: SHA-256 fingerprint of the certificate.
    fingerprint: str

    #: Stores that were updated.
    stores: typing.Literal["both", "console", "client"]

    #: Name of the update.
    update: str


@dataclass(frozen=True)
class Certificate:
    """A certificate."""

    #: SHA-256 of the DER form.
    fingerprint: str

    #: End of the validity.
    not_after: str

    #: Start of the validity.
    not_before: str

    #: Certificate in PEM.
    pem: str


@dataclass(frozen=True)
class StoresHold:
    """Certificates in the stores of a manager."""

    #: Certificate of the clients' port.
    client: Certificate

    #: Certificate of the console and the REST API.
    console: Certificate


@dataclass(frozen=True)
class Certificates:
    """Certificates that a manager presents, and their history."""

    #: Named updates, oldest first.
    history: typing.List[Update]

    #: Name of the manager.
    manager: str

    #: Why each of them did not start.
    service_errors: typing.Dict[str, str]

    #: Services that did not start.
    stopped: typing.List[Service]

    #: Certificates in its stores.
    stores: StoresHold

    #: Why the console cannot log in to the manager (F14); absent if it can.
    console_trouble: typing.Optional[str] = None


#: Content of a file, as a text or as an object with the file's name.
FileContent = typing.Any


@dataclass(frozen=True)
class Replication:
    """Replication of a manager."""

    #: Name of the manager.
    manager: str

    #: Names of the managers that it replicates with.
    partners: typing.List[str]

    #: Whether the manager replicates with at least one other.
    replicates: bool

    #: Lab time since which the manager has not replicated; absent while it replicates.
    broken_since: typing.Optional[str] = None


@dataclass(frozen=True)
class RestoredManager:
    """State of a manager after its reinstallation."""

    #: Number of registered clients.
    clients: int

    #: Identifier of the domain.
    domain: str

    #: SHA-256 fingerprint of its server certificate.
    fingerprint: str

    #: Name of the manager.
    manager: str


@dataclass(frozen=True)
class PackageView:
    """A client package."""

    #: Size of the package in bytes.
    bytes: int

    #: Name of the package.
    package: str


@dataclass(frozen=True)
class ReportSource:
    """A process that reports clients which run outside of a lab's process."""

    #: The number of clients in its reports.
    clients: int

    #: Whether the source has ended: its clients have stopped.
    ended: bool

    #: The lab time of the oldest of the reports that count.
    heard: str

    #: Milliseconds of real time since then.
    heard_ms_ago: int

    #: The longest time between two reports of one client that the source has promised, in milliseconds of real time.
    interval_ms: int

    #: Whether the source has been silent for longer than three intervals, with all or some of its clients: those are
    #: unknown.
    silent: bool

    #: The name of the source.
    source: str


@dataclass(frozen=True)
class ReportClientsState:
    """Clients in one state."""

    #: The state of the first client. `heartbeats` counts those that have ended.
    first: AgentView

    #: Whether the clients' machines are on.
    on: bool

    #: Whether the clients are on, and have begun no heartbeat for three intervals.
    silent: bool

    #: Further clients in this state.
    others: typing.Optional[typing.List[typing.Tuple[str, typing.Optional[str], int, int]]] = None


@dataclass(frozen=True)
class RestoredSnapshot:
    """State that the lab has returned to."""

    #: Name of the restored snapshot.
    restored: str


@dataclass(frozen=True)
class RecordedFile:
    """A file that a recorded scenario names."""

    #: Content of the file, in Base64.
    content: str

    #: Path of the file, relative to the scenario.
    name: str


@dataclass(frozen=True)
class RecordedScenario:
    """A scenario of what was done to a lab."""

    #: Number of clients.
    clients: int

    #: Files that the scenario names, with private keys among them.
    files: typing.List[RecordedFile]

    #: What was done that the scenario does not do, or does otherwise.
    left_out: typing.List[str]

    #: The scenario file, in TOML.
    scenario: str

    #: Number of steps.
    steps: int

    #: Why the scenario cannot be played as it is; absent if it can.
    refused: typing.Optional[str] = None


@dataclass(frozen=True)
class ManagerView:
    """A manager."""

    #: Address that is published to clients.
    address: str

    #: SHA-256 fingerprint of the certificate that it presents to clients.
    fingerprint: str

    #: Name of the manager.
    name: str

    #: Lab time since which the manager has not replicated; absent while it replicates.
    broken_since: typing.Optional[str] = None

    #: Port for HTTP.
    http_port: typing.Optional[int] = None

    #: Port for HTTPS.
    https_port: typing.Optional[int] = None


@dataclass(frozen=True)
class SiteView:
    """The site and its managers."""

    #: Addresses of each manager.
    addresses: typing.List[Addresses]

    #: Number of registered clients.
    clients: int

    #: Name of the default management server list.
    default_list: str

    #: Identifier of the domain.
    domain: str

    #: Identifier of the site.
    id: str

    #: Managers of the site.
    managers: typing.List[ManagerView]

    #: Name of the site.
    name: str


@dataclass(frozen=True)
class SnapshotInfo:
    """Description of a snapshot."""

    #: Lab time at which the snapshot was taken.
    at: str

    #: Number of clients in the snapshot.
    clients: int

    #: Name of the snapshot.
    name: str


@dataclass(frozen=True)
class ChangedClient:
    """A client that has changed."""

    #: Computer name of the client.
    client: str

    #: State in the snapshot; absent if the client was not there.
    before: typing.Optional[str] = None

    #: State now; absent if the client is not there.
    now: typing.Optional[str] = None


@dataclass(frozen=True)
class ChangedField:
    """A field of the site that has changed."""

    #: Value in the snapshot; null if there was none.
    before: typing.Any

    #: Object and field, such as `groups/My Company/list`.
    field: str

    #: Value now; null if there is none.
    now: typing.Any


@dataclass(frozen=True)
class SnapshotChanges:
    """Differences between a snapshot and now."""

    #: Lab time of the snapshot.
    at: str

    #: Number of clients that have changed, have come, or have gone.
    clients: int

    #: The first of these clients.
    examples: typing.List[ChangedClient]

    #: Changed fields of managers, groups and lists.
    site: typing.List[ChangedField]

    #: Name of the snapshot.
    snapshot: str


@dataclass(frozen=True)
class VerdictNote:
    """A fact about clients that does not decide whether they are well: they may be served and trust their manager."""

    #: The number of clients.
    clients: int

    #: The code of the fact.
    code: typing.Literal[
        "downloads-off",
        "old-policy",
        "shared-record",
        "lower-priority",
        "preferred-group-missing",
        "not-in-preferred-group",
    ]

    #: The names of the first of these clients, at most 20.
    examples: typing.List[str]

    #: What to do.
    remedy: str

    #: The fact in one sentence.
    sentence: str

    #: The number of the failure in the catalogue; absent where none fits.
    failure: typing.Optional[str] = None

    #: The title of that failure.
    failure_title: typing.Optional[str] = None


@dataclass(frozen=True)
class VerdictOrphaned:
    """A client that is orphaned."""

    #: The reason as data.
    because: JsonObject

    #: The computer name of the client.
    client: str

    #: The code of the layer of trust that failed.
    layer: typing.Literal["tls", "signature", "shared-secret"]

    #: The title of that layer, for people.
    layer_title: str

    #: The part of the fleet that the client belongs to.
    part: str

    #: The lab time since which the client has been orphaned.
    since: str

    #: The reason in one sentence: what was expected, and what was found.
    why: str

    #: The numbers of further causes in `reasons`, such as a manager that does not answer: the client has them beside
    #: its loss of trust.
    also: typing.Optional[typing.List[int]] = None

    #: The number of the failure in the catalogue, such as `F03`; absent where none fits, or several do.
    failure: typing.Optional[str] = None

    #: The number of the cause in `reasons` of the verdict.
    reason: typing.Optional[int] = None

    #: The step of the scenario during which the client was orphaned, from 1; 0 is before the first step. Absent in a
    #: lab without a scenario.
    step: typing.Optional[int] = None

    #: The title of that step.
    step_title: typing.Optional[str] = None


@dataclass(frozen=True)
class VerdictPart:
    """The clients of a part of the fleet, counted by what they hold."""

    #: The number of clients that were orphaned and were brought back by an imported communications file.
    brought_back: int

    #: The number of clients that hold each certificate.
    certificates: typing.Dict[str, int]

    #: The number of clients in the part.
    clients: int

    #: The number of clients that are served.
    connected: int

    #: The number of clients that are out of touch for reasons other than trust.
    disconnected: int

    #: The number of clients that connect to their manager over HTTPS.
    https: int

    #: The number of orphaned clients for each layer of trust that failed.
    layers: typing.Dict[str, int]

    #: The number of clients that hold each management server list.
    lists: typing.Dict[str, int]

    #: The number of clients that are orphaned.
    orphaned: int

    #: The name of the part.
    part: str

    #: The number of clients that are served and authenticate their manager.
    secure: int


@dataclass(frozen=True)
class VerdictReasonAlike:
    """A failure that looks alike."""

    #: What is seen if it is this failure.
    by: str

    #: The number of the failure in the catalogue.
    failure: str


@dataclass(frozen=True)
class VerdictReason:
    """The reason why clients are not well: the cause, its number in the failure catalogue, and the remedy."""

    #: The number of clients.
    clients: int

    #: The code of the cause.
    code: typing.Literal[
        "group-forgotten",
        "location-forgotten",
        "list-over-https",
        "switch-left-on",
        "not-waited",
        "downloads-off",
        "switched-on-too-early",
        "manager-too-early",
        "reached-another-manager",
        "replication-broken",
        "version-learns-one",
        "secret-of-another-site",
        "reinstalled",
        "secret-of-client",
        "secret-of-manager",
        "certificate-expired",
        "certificate-not-yet-valid",
        "certificate-for-another-name",
        "certificate-restored",
        "stores-differ",
        "foreign-certificate",
        "old-file",
        "out-of-touch",
        "not-served-by-others",
        "manager-down",
        "port-not-served",
        "port-without-tls",
        "https-port-refused",
        "answer-awaited",
        "communication-off",
        "reproduced",
        "secure-communications-off",
        "not-received",
        "suspended",
        "unknown",
    ]

    #: The names of the first of these clients.
    examples: typing.List[str]

    #: What is wrong with the clients: the list of the verdict that they are in.
    finding: typing.Literal["orphaned", "out-of-touch", "not-secure", "behind", "silent", "orphaned-on-return"]

    #: The number of the reason in its verdict, from 1; `reason` of an orphaned client names it.
    number: int

    #: What to do.
    remedy: str

    #: The cause in one sentence.
    sentence: str

    #: Failures that look alike from what is known, and how to tell each.
    alike: typing.Optional[typing.List[VerdictReasonAlike]] = None

    #: The number of the failure in the catalogue, such as `F03`; absent where none fits, or several do.
    failure: typing.Optional[str] = None

    #: The title of that failure.
    failure_title: typing.Optional[str] = None

    #: The faults, set in the lab, that hit the last contact of some of the clients with their manager.
    faults: typing.Optional[typing.List[str]] = None

    #: The code of the layer of trust that failed; absent where trust is not the reason.
    layer: typing.Optional[typing.Literal["tls", "signature", "shared-secret"]] = None

    #: The title of that layer, for people.
    layer_title: typing.Optional[str] = None

    #: What one of the clients expected and found; absent where nothing of it is known.
    observed: typing.Optional[str] = None

    #: The numbers of the steps during which the clients were orphaned; empty in a lab without a scenario.
    since_steps: typing.Optional[typing.List[int]] = None

    #: The step of the scenario that is the cause. Absent in a lab without a scenario, and where no step is known to
    #: be.
    step: typing.Optional[int] = None

    #: The title of that step.
    step_title: typing.Optional[str] = None


@dataclass(frozen=True)
class VerdictStep:
    """The state of the fleet after a step."""

    #: The lab time at which the step began.
    began: str

    #: What clients hold after the step, for each part.
    holdings: typing.List[VerdictPart]

    #: The number of the step, from 1; 0 is the installation.
    number: int

    #: The statements of the documented procedure that the step follows or breaks.
    statements: typing.List[
        typing.Literal[
            "P1",
            "P2",
            "P3",
            "P4",
            "P5",
            "P6",
            "P7",
            "P8",
            "P9",
            "P10",
            "P11",
            "P12",
            "P13",
            "P14",
            "P15",
            "P16",
            "P17",
            "P18",
            "P19",
            "P20",
        ]
    ]

    #: The title of the step.
    title: str


@dataclass(frozen=True)
class Verdict:
    """The state of a fleet: the certificates that its clients hold, the clients that are orphaned, since when and
    why. `run`, `rehearse`, `check` and the control API give the same verdict.
    """

    #: The clients that are off, not orphaned, and have changes still to receive.
    away: typing.List[str]

    #: The clients that are on, served and secure, but lack a certificate in force.
    behind: typing.List[str]

    #: The clients that were orphaned, and brought back by an imported communications file.
    brought_back: typing.List[str]

    #: The certificate that each manager shows its clients now: SHA-256 fingerprints by manager name.
    certificates: typing.Dict[str, str]

    #: The number of clients.
    clients: int

    #: The clients that are on and served, but do not authenticate their manager.
    not_secure: typing.List[str]

    #: The lab time of the verdict.
    now: str

    #: The clients that are orphaned.
    orphaned: typing.List[VerdictOrphaned]

    #: The clients that are on, not served, and not orphaned: the reason is not trust.
    out_of_touch: typing.List[str]

    #: The certificates and lists that the clients of each part of the fleet hold now.
    parts: typing.List[VerdictPart]

    #: The seed that reproduces the same lab.
    seed: int

    #: The clients that are on, and have begun no heartbeat for three intervals.
    silent: typing.List[str]

    #: The assumptions that differ from their defaults, each as `name = value`: the verdict rests on them. Absent
    #: where none does.
    assumed: typing.Optional[typing.List[str]] = None

    #: Every certificate that was in force during the scenario, the oldest first.
    certificate_history: typing.Optional[typing.List[str]] = None

    #: The reason why the console cannot log in (F14), by manager name; absent where it can.
    console_troubles: typing.Optional[typing.Dict[str, str]] = None

    #: The reason why the database that the managers share does not answer: which processes run, and what they have
    #: heard since, is not known. Absent where it answers, and where there is none.
    database_error: typing.Optional[str] = None

    #: The number of registered clients that run outside this lab's process. Of those that no process reports the lab
    #: knows only what they tell their manager: their state is unknown.
    elsewhere: typing.Optional[int] = None

    #: The clients that were orphaned at any time, whether or not they still are or still belong to the fleet; absent
    #: where this was not watched.
    ever_orphaned: typing.Optional[typing.List[str]] = None

    #: The clients that adopted a policy without authenticating it; absent where this was not watched.
    ever_unsigned: typing.Optional[typing.List[str]] = None

    #: The files that were replaced and that no service has read since, by manager; absent where no manager has an
    #: installation folder.
    files_unread: typing.Optional[typing.Dict[str, typing.List[str]]] = None

    #: The number of journal entries that have been dropped; absent without a journal.
    journal_forgotten: typing.Optional[int] = None

    #: The reason why there is no verdict; absent where there is one.
    no_verdict: typing.Optional[str] = None

    #: The number of clients of the scenario that have not been installed yet: they are not judged. Absent where there
    #: are none.
    not_installed: typing.Optional[int] = None

    #: Facts about clients that do not decide whether all is well, such as clients that hold an old policy; absent
    #: where there are none. A verdict that is well may have notes.
    notes: typing.Optional[typing.List[VerdictNote]] = None

    #: The clients in `away` that would be orphaned if they were switched on now, as tried on copies of them; absent
    #: where there are none.
    orphaned_on_return: typing.Optional[typing.List[str]] = None

    #: The managers whose process does not run; absent where each manager is in this process, or that is not known.
    processes_down: typing.Optional[typing.List[str]] = None

    #: The causes for which clients are not well, each with what to do: first those of clients that are orphaned or
    #: out of touch; of these and of the others, those of most clients first.
    reasons: typing.Optional[typing.List[VerdictReason]] = None

    #: The command that repeats it; absent where it is not known.
    repeat: typing.Optional[str] = None

    #: The clients that several sources report; the latest report counts. Absent where there are none.
    reported_twice: typing.Optional[typing.List[str]] = None

    #: The title of the scenario; absent in a lab without one.
    scenario: typing.Optional[str] = None

    #: The services that are down, by manager; absent where no manager has an installation folder, without which every
    #: service is up.
    services_down: typing.Optional[typing.Dict[str, typing.List[str]]] = None

    #: The processes that report clients which run outside this lab's process; absent where there are none.
    sources: typing.Optional[typing.List[ReportSource]] = None

    #: The state after each step of the scenario.
    steps: typing.Optional[typing.List[VerdictStep]] = None

    #: The clients whose state is not known: they run outside this lab's process, and no source has reported them, or
    #: theirs has been silent for three of its intervals. Absent where there are none.
    unknown: typing.Optional[typing.List[str]] = None

    #: The clients that run outside this lab's process and are off, and that lack something which their managers
    #: present, sign with or share with them: whether they would be orphaned on being switched on cannot be tried.
    #: Absent where there are none.
    untried: typing.Optional[typing.List[str]] = None

    #: Whether every client that is on is served, authenticates its manager, has its heartbeats, and holds every
    #: certificate in force, no client is orphaned or would be on being switched on, no service of a manager is down,
    #: no file waits unread, and the console can log in. Null where there is no client to judge, as where all are off
    #: with changes to receive, or the state of a client is not known, or the return of one cannot be tried, or the
    #: database does not answer, and nothing else is wrong: then there is no verdict.
    well: typing.Optional[bool] = None


@dataclass(frozen=True)
class WouldBeOrphaned:
    """A client that would be orphaned."""

    #: What would be expected, and what found.
    because: JsonObject

    #: The name of the client's computer.
    client: str

    #: The code of the layer of trust that would fail.
    layer: typing.Literal["tls", "signature", "shared-secret"]

    #: The title of that layer, for people.
    layer_title: str


@dataclass(frozen=True)
class Foreseen:
    """Clients that would be orphaned."""

    #: Clients that would be orphaned, each with the reason.
    clients: typing.List[WouldBeOrphaned]

    #: Number of clients that nothing was predicted for: they run outside of the lab's process, which has no copy of
    #: them.
    not_predicted: int

    #: Number of clients of the lab's process: the commands were tried on copies of them.
    predicted: int

    #: Number of clients that would be orphaned.
    would_be_orphaned: int


class ControlApi(Transport):
    """The operations of the control API."""

    def index(self, *, timeout: typing.Optional[float] = None) -> Index:
        """Show name, version and addresses of the lab.

        GET /v1
        """
        answer: Index = self._json(Index, "GET", "/v1", None, None, timeout)
        return answer

    def assumptions(self, *, timeout: typing.Optional[float] = None) -> typing.List[Assumption]:
        """List the assumptions about undocumented behaviour of the product.

        GET /v1/assumptions
        """
        answer: typing.List[Assumption] = self._json(
            typing.List[Assumption],
            "GET",
            "/v1/assumptions",
            None,
            None,
            timeout,
        )
        return answer

    def assume(self, body: JsonObject, *, timeout: typing.Optional[float] = None) -> typing.List[Assumption]:
        """Set assumptions by name: those of the REST API take effect at once, all others at the next reset.

        PUT /v1/assumptions

        body: The objects, as JSON.
        """
        answer: typing.List[Assumption] = self._json(
            typing.List[Assumption],
            "PUT",
            "/v1/assumptions",
            None,
            body,
            timeout,
        )
        return answer

    def baselines(self, *, timeout: typing.Optional[float] = None) -> typing.List[BaselineInfo]:
        """List the baselines.

        GET /v1/baselines
        """
        answer: typing.List[BaselineInfo] = self._json(
            typing.List[BaselineInfo],
            "GET",
            "/v1/baselines",
            None,
            None,
            timeout,
        )
        return answer

    def remove_baseline(self, baseline: str, *, timeout: typing.Optional[float] = None) -> typing.List[BaselineInfo]:
        """Remove a baseline.

        DELETE /v1/baselines/{baseline}

        baseline: Name of the baseline: 1 to 128 characters, none of them a control character. `start` can only be
            shown.
        """
        answer: typing.List[BaselineInfo] = self._json(
            typing.List[BaselineInfo],
            "DELETE",
            f"/v1/baselines/{quote(baseline)}",
            None,
            None,
            timeout,
        )
        return answer

    def baseline(self, baseline: str, *, timeout: typing.Optional[float] = None) -> Baseline:
        """Show a baseline.

        GET /v1/baselines/{baseline}

        baseline: Name of the baseline: 1 to 128 characters, none of them a control character. `start` can only be
            shown.
        """
        answer: Baseline = self._json(Baseline, "GET", f"/v1/baselines/{quote(baseline)}", None, None, timeout)
        return answer

    def take_baseline(self, baseline: str, *, timeout: typing.Optional[float] = None) -> Baseline:
        """Take a baseline of the lab, replacing another one of that name.

        PUT /v1/baselines/{baseline}

        baseline: Name of the baseline: 1 to 128 characters, none of them a control character. `start` can only be
            shown.
        """
        answer: Baseline = self._json(Baseline, "PUT", f"/v1/baselines/{quote(baseline)}", None, None, timeout)
        return answer

    def capture(self, *, minutes: typing.Optional[int] = None, timeout: typing.Optional[float] = None) -> bytes:
        """Download the last minutes of the capture, with the session secrets that decrypt it.

        GET /v1/capture

        minutes: Number of minutes of lab time; 5 when absent.
        """
        return self._bytes("GET", "/v1/capture", {"minutes": minutes}, None, timeout)

    def clients(
        self,
        *,
        certificate: typing.Optional[str] = None,
        group: typing.Optional[str] = None,
        limit: typing.Optional[int] = None,
        list: typing.Optional[str] = None,
        location: typing.Optional[str] = None,
        machine: typing.Optional[Machine] = None,
        name: typing.Optional[str] = None,
        offset: typing.Optional[int] = None,
        part: typing.Optional[str] = None,
        reason: typing.Optional[int] = None,
        serial: typing.Optional[str] = None,
        server: typing.Optional[str] = None,
        standing: typing.Optional[ClientStanding] = None,
        state: typing.Optional[ClientState] = None,
        unserved: typing.Optional[int] = None,
        version: typing.Optional[str] = None,
        timeout: typing.Optional[float] = None,
    ) -> Clients:
        """List the clients of this lab.

        GET /v1/clients

        certificate: Only clients that hold a certificate whose SHA-256 fingerprint begins with this, with or without
            colons.
        group: Only clients in a group whose full path contains this.
        limit: Number of clients to return; 100 when absent, at most 1000.
        list: Only clients with a management server list whose name contains this.
        location: Only clients in a location whose name contains this.
        machine: Only clients whose machine is so.
        name: Only clients whose computer name contains this.
        offset: Number of clients to skip. Defaults to `0`.
        part: Only clients of this part.
        reason: Only clients of this cause: its number in `reasons` of the verdict.
        serial: Only clients with a policy whose serial number contains this.
        server: Only clients whose first server contains this, as `address:port`.
        standing: Only clients that the verdict finds so.
        state: Only clients in this state.
        unserved: Only clients with at least so many heartbeats that no manager served.
        version: Only clients whose version begins with this.
        """
        answer: Clients = self._json(
            Clients,
            "GET",
            "/v1/clients",
            {
                "certificate": certificate,
                "group": group,
                "limit": limit,
                "list": list,
                "location": location,
                "machine": machine,
                "name": name,
                "offset": offset,
                "part": part,
                "reason": reason,
                "serial": serial,
                "server": server,
                "standing": standing,
                "state": state,
                "unserved": unserved,
                "version": version,
            },
            None,
            timeout,
        )
        return answer

    def client(self, client: str, *, timeout: typing.Optional[float] = None) -> WholeClient:
        """Show a client: its state and its history.

        GET /v1/clients/{client}

        client: Computer name of the client.
        """
        answer: WholeClient = self._json(WholeClient, "GET", f"/v1/clients/{quote(client)}", None, None, timeout)
        return answer

    def client_log(
        self,
        client: str,
        *,
        limit: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> ClientLog:
        """Show the latest lines of a client's log, as the client writes them.

        GET /v1/clients/{client}/log

        client: Computer name of the client.
        limit: Number of lines to return, the latest ones; 100 when absent, at most 1000.
        """
        answer: ClientLog = self._json(
            ClientLog,
            "GET",
            f"/v1/clients/{quote(client)}/log",
            {"limit": limit},
            None,
            timeout,
        )
        return answer

    def operate_client(
        self,
        client: str,
        body: ClientOperation,
        *,
        timeout: typing.Optional[float] = None,
    ) -> WholeClient:
        """Perform an action on a client, such as poke, freeze, offline, import, move or reimage.

        POST /v1/clients/{client}/operations

        client: Computer name of the client.
        body: An action on a client.
        """
        answer: WholeClient = self._json(
            WholeClient,
            "POST",
            f"/v1/clients/{quote(client)}/operations",
            None,
            body,
            timeout,
        )
        return answer

    def clock(self, *, timeout: typing.Optional[float] = None) -> ClockView:
        """Show lab time, the clock's speed and hold, and the longest pauses.

        GET /v1/clock
        """
        answer: ClockView = self._json(ClockView, "GET", "/v1/clock", None, None, timeout)
        return answer

    def set_clock(
        self,
        *,
        hold: typing.Optional[str] = None,
        now: typing.Optional[str] = None,
        speed: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> ClockView:
        """Stop, set, speed up or hold the clock.

        PUT /v1/clock

        hold: Real time, such as 1s, for which the clock stands after each change of the site; 0s ends the hold.
        now: New lab time, such as 2026-01-05T08:00:00Z; certificates and heartbeats follow it at once.
        speed: Speed as a multiple of real time, at most 300; 0 stops the clock. A held clock runs on at once.
        """
        answer: ClockView = self._json(
            ClockView,
            "PUT",
            "/v1/clock",
            None,
            {"hold": hold, "now": now, "speed": speed},
            timeout,
        )
        return answer

    def advance_clock(self, *, by: str, timeout: typing.Optional[float] = None) -> ClockView:
        """Advance the clock, with everything due in between in order; responds once all clients are idle.

        POST /v1/clock/advance

        by: Duration, such as 90m, 24h or 30d.
        """
        answer: ClockView = self._json(ClockView, "POST", "/v1/clock/advance", None, {"by": by}, timeout)
        return answer

    def pass_heartbeats(
        self,
        *,
        heartbeats: int,
        limit_seconds: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> ClockView:
        """Wait until every client that is on has completed this many more heartbeats.

        POST /v1/clock/heartbeats

        heartbeats: Number of heartbeats of every client that is on.
        limit_seconds: Longest wait in seconds of real time; 60 when absent.
        """
        answer: ClockView = self._json(
            ClockView,
            "POST",
            "/v1/clock/heartbeats",
            None,
            {"heartbeats": heartbeats, "limit_seconds": limit_seconds},
            timeout,
        )
        return answer

    def give_commands(
        self,
        body: typing.Sequence[JsonObject],
        *,
        timeout: typing.Optional[float] = None,
    ) -> AppliedCommands:
        """Apply commands to the site, as in a scenario's setup: all of them or none.

        POST /v1/commands

        body: The objects, as JSON.
        """
        answer: AppliedCommands = self._json(AppliedCommands, "POST", "/v1/commands", None, body, timeout)
        return answer

    def evidence(self, *, capture: typing.Optional[bool] = None, timeout: typing.Optional[float] = None) -> bytes:
        """Download evidence: verdict, journal, logs, certificates and the lab itself as one ZIP file.

        GET /v1/evidence

        capture: Whether the capture of the traffic goes with it, if the lab takes one. Its session secrets decrypt
            what tools have sent, such as passwords. Defaults to `true`.
        """
        return self._bytes("GET", "/v1/evidence", {"capture": capture}, None, timeout)

    def findings(self, *, timeout: typing.Optional[float] = None) -> Findings:
        """Show the results of all registered expectations.

        GET /v1/expectations
        """
        answer: Findings = self._json(Findings, "GET", "/v1/expectations", None, None, timeout)
        return answer

    def findings_as(self, format: Format, *, timeout: typing.Optional[float] = None) -> bytes:
        """Show the results of all registered expectations, in this format.

        GET /v1/expectations

        format: Format of the response: `json`, or `junit` for a test report.
        """
        return self._bytes("GET", "/v1/expectations", {"format": format}, None, timeout)

    def find(self, body: typing.Sequence[Expectation], *, timeout: typing.Optional[float] = None) -> Findings:
        """Judge these expectations now, without registering them.

        POST /v1/expectations

        body: The objects, as JSON.
        """
        answer: Findings = self._json(Findings, "POST", "/v1/expectations", None, body, timeout)
        return answer

    def find_as(
        self,
        body: typing.Sequence[Expectation],
        format: Format,
        *,
        timeout: typing.Optional[float] = None,
    ) -> bytes:
        """Judge these expectations now, without registering them, in this format.

        POST /v1/expectations

        body: The objects, as JSON.
        format: Format of the response: `json`, or `junit` for a test report.
        """
        return self._bytes("POST", "/v1/expectations", {"format": format}, body, timeout)

    def expect_no_longer(self, expectation: str, *, timeout: typing.Optional[float] = None) -> typing.List[Finding]:
        """Remove a registered expectation.

        DELETE /v1/expectations/{expectation}

        expectation: Name of the expectation.
        """
        answer: typing.List[Finding] = self._json(
            typing.List[Finding],
            "DELETE",
            f"/v1/expectations/{quote(expectation)}",
            None,
            None,
            timeout,
        )
        return answer

    def expect(self, expectation: str, body: Expectation, *, timeout: typing.Optional[float] = None) -> Finding:
        """Register an expectation from now on.

        PUT /v1/expectations/{expectation}

        expectation: Name of the expectation.
        body: An expectation about the fleet of a lab.
        """
        answer: Finding = self._json(Finding, "PUT", f"/v1/expectations/{quote(expectation)}", None, body, timeout)
        return answer

    def failures(self, *, timeout: typing.Optional[float] = None) -> typing.List[FailureTitle]:
        """List the known failures.

        GET /v1/failures
        """
        answer: typing.List[FailureTitle] = self._json(
            typing.List[FailureTitle],
            "GET",
            "/v1/failures",
            None,
            None,
            timeout,
        )
        return answer

    def failure(self, failure: str, *, timeout: typing.Optional[float] = None) -> JsonObject:
        """Show a known failure.

        GET /v1/failures/{failure}

        failure: ID of the failure, such as F07.
        """
        answer: JsonObject = self._json(JsonObject, "GET", f"/v1/failures/{quote(failure)}", None, None, timeout)
        return answer

    def fault_kinds(self, *, timeout: typing.Optional[float] = None) -> typing.List[KindInfo]:
        """List the kinds of faults with their parameters.

        GET /v1/fault-kinds
        """
        answer: typing.List[KindInfo] = self._json(
            typing.List[KindInfo],
            "GET",
            "/v1/fault-kinds",
            None,
            None,
            timeout,
        )
        return answer

    def clear_faults(self, *, timeout: typing.Optional[float] = None) -> typing.List[SetFault]:
        """Remove all faults.

        DELETE /v1/faults
        """
        answer: typing.List[SetFault] = self._json(typing.List[SetFault], "DELETE", "/v1/faults", None, None, timeout)
        return answer

    def faults(self, *, timeout: typing.Optional[float] = None) -> typing.List[SetFault]:
        """List the active faults.

        GET /v1/faults
        """
        answer: typing.List[SetFault] = self._json(typing.List[SetFault], "GET", "/v1/faults", None, None, timeout)
        return answer

    def remove_fault(self, fault: str, *, timeout: typing.Optional[float] = None) -> typing.List[SetFault]:
        """Remove a fault.

        DELETE /v1/faults/{fault}

        fault: Name of the fault.
        """
        answer: typing.List[SetFault] = self._json(
            typing.List[SetFault],
            "DELETE",
            f"/v1/faults/{quote(fault)}",
            None,
            None,
            timeout,
        )
        return answer

    def set_fault(
        self,
        fault: str,
        *,
        name: str,
        what: typing.Any,
        probability: typing.Optional[float] = None,
        when: typing.Optional[typing.Union[FaultRuleWhen, JsonObject]] = None,
        where: typing.Optional[typing.Union[FaultRuleWhere, JsonObject]] = None,
        whom: typing.Optional[typing.Union[FaultRuleWhom, JsonObject]] = None,
        timeout: typing.Optional[float] = None,
    ) -> SetFault:
        """Add a fault, or replace the one of this name; it expires after an hour unless its rule says otherwise.

        PUT /v1/faults/{fault}

        fault: Name of the fault.
        name: The name of the fault, unique among the faults of a lab. Random decisions depend on it: two faults with
            the same rule and different names hit different occasions.
        what: The kind of fault: its name, if the defaults of its parameters will do, or a table with `kind` and
            parameters.
        probability: The probability with which a matching occasion is hit, from 0 (never) to 1 (always); 1 if left
            out.
        when: The time and the occasions that the fault applies to; all if left out.
        where: The managers, listeners and routes that the fault applies to; all if left out.
        whom: The clients that the fault applies to; all if left out.
        """
        answer: SetFault = self._json(
            SetFault,
            "PUT",
            f"/v1/faults/{quote(fault)}",
            None,
            {"name": name, "probability": probability, "what": what, "when": when, "where": where, "whom": whom},
            timeout,
        )
        return answer

    def preview_fault(
        self,
        fault: str,
        *,
        name: str,
        what: typing.Any,
        probability: typing.Optional[float] = None,
        when: typing.Optional[typing.Union[FaultRuleWhen, JsonObject]] = None,
        where: typing.Optional[typing.Union[FaultRuleWhere, JsonObject]] = None,
        whom: typing.Optional[typing.Union[FaultRuleWhom, JsonObject]] = None,
        timeout: typing.Optional[float] = None,
    ) -> FaultPreview:
        """Predict which clients a fault would hit if it were set now; changes nothing.

        POST /v1/faults/{fault}/preview

        fault: Name of the fault.
        name: The name of the fault, unique among the faults of a lab. Random decisions depend on it: two faults with
            the same rule and different names hit different occasions.
        what: The kind of fault: its name, if the defaults of its parameters will do, or a table with `kind` and
            parameters.
        probability: The probability with which a matching occasion is hit, from 0 (never) to 1 (always); 1 if left
            out.
        when: The time and the occasions that the fault applies to; all if left out.
        where: The managers, listeners and routes that the fault applies to; all if left out.
        whom: The clients that the fault applies to; all if left out.
        """
        answer: FaultPreview = self._json(
            FaultPreview,
            "POST",
            f"/v1/faults/{quote(fault)}/preview",
            None,
            {"name": name, "probability": probability, "what": what, "when": when, "where": where, "whom": whom},
            timeout,
        )
        return answer

    def add_clients(
        self,
        part: str,
        *,
        count: int,
        at_once: typing.Optional[bool] = None,
        group: typing.Optional[str] = None,
        location: typing.Optional[str] = None,
        version: typing.Optional[str] = None,
        timeout: typing.Optional[float] = None,
    ) -> PartNow:
        """Add clients to a part of the fleet, or a part with them.

        POST /v1/fleet/{part}

        part: Name of the part; its clients are named PART-1, PART-2 and so on.
        count: Number of clients; with POST, the number of clients to add.
        at_once: Whether to respond at once instead of after every client has been served. Defaults to `false`.
        group: Full path of the clients' group; when absent, that of the part, or of a new part the default group.
        location: Location of the clients; when absent, that of the part, or of a new part the group's default
            location.
        version: Version of the clients; when absent, that of the part, or of a new part 14.3.
        """
        answer: PartNow = self._json(
            PartNow,
            "POST",
            f"/v1/fleet/{quote(part)}",
            None,
            {"at_once": at_once, "count": count, "group": group, "location": location, "version": version},
            timeout,
        )
        return answer

    def set_part(
        self,
        part: str,
        *,
        count: int,
        at_once: typing.Optional[bool] = None,
        group: typing.Optional[str] = None,
        location: typing.Optional[str] = None,
        version: typing.Optional[str] = None,
        timeout: typing.Optional[float] = None,
    ) -> PartNow:
        """Add a part to the fleet, or resize it.

        PUT /v1/fleet/{part}

        part: Name of the part; its clients are named PART-1, PART-2 and so on.
        count: Number of clients; with POST, the number of clients to add.
        at_once: Whether to respond at once instead of after every client has been served. Defaults to `false`.
        group: Full path of the clients' group; when absent, that of the part, or of a new part the default group.
        location: Location of the clients; when absent, that of the part, or of a new part the group's default
            location.
        version: Version of the clients; when absent, that of the part, or of a new part 14.3.
        """
        answer: PartNow = self._json(
            PartNow,
            "PUT",
            f"/v1/fleet/{quote(part)}",
            None,
            {"at_once": at_once, "count": count, "group": group, "location": location, "version": version},
            timeout,
        )
        return answer

    def groups(self, *, timeout: typing.Optional[float] = None) -> typing.List[GroupView]:
        """List the groups.

        GET /v1/groups
        """
        answer: typing.List[GroupView] = self._json(typing.List[GroupView], "GET", "/v1/groups", None, None, timeout)
        return answer

    def group(self, group: str, *, timeout: typing.Optional[float] = None) -> GroupView:
        """Show a group with its locations.

        GET /v1/groups/{group}

        group: Full path of the group, such as `My Company\\Desktops`.
        """
        answer: GroupView = self._json(GroupView, "GET", f"/v1/groups/{quote(group)}", None, None, timeout)
        return answer

    def set_group(
        self,
        group: str,
        *,
        communication: typing.Optional[typing.Union[CommunicationChange, JsonObject]] = None,
        inherits: typing.Optional[bool] = None,
        list: typing.Optional[str] = None,
        secure_communications: typing.Optional[bool] = None,
        timeout: typing.Optional[float] = None,
    ) -> GroupView:
        """Add or change a group.

        PUT /v1/groups/{group}

        group: Full path of the group, such as `My Company\\Desktops`.
        communication: Communication settings of the clients.
        inherits: Whether the group inherits everything from its parent.
        list: Name of the management server list.
        secure_communications: Whether clients authenticate their manager.
        """
        answer: GroupView = self._json(
            GroupView,
            "PUT",
            f"/v1/groups/{quote(group)}",
            None,
            {
                "communication": communication,
                "inherits": inherits,
                "list": list,
                "secure_communications": secure_communications,
            },
            timeout,
        )
        return answer

    def set_location(
        self,
        group: str,
        location: str,
        *,
        communication: typing.Optional[typing.Union[CommunicationChange, JsonObject]] = None,
        list: typing.Optional[str] = None,
        use_group_communication: typing.Optional[bool] = None,
        timeout: typing.Optional[float] = None,
    ) -> GroupView:
        """Add or change a location.

        PUT /v1/groups/{group}/locations/{location}

        group: Full path of the group.
        location: Name of the location.
        communication: Communication settings of the location itself.
        list: Name of the location's own list.
        use_group_communication: True to use the group's list and settings instead of the location's own.
        """
        answer: GroupView = self._json(
            GroupView,
            "PUT",
            f"/v1/groups/{quote(group)}/locations/{quote(location)}",
            None,
            {"communication": communication, "list": list, "use_group_communication": use_group_communication},
            timeout,
        )
        return answer

    def update_package(
        self,
        group: str,
        *,
        location: typing.Optional[str] = None,
        timeout: typing.Optional[float] = None,
    ) -> bytes:
        """Download a communication update package: an archive with a sylink.xml.

        GET /v1/groups/{group}/package

        group: Full path of the group, such as `My Company\\Desktops`.
        location: Location; the group's own settings when absent.
        """
        return self._bytes("GET", f"/v1/groups/{quote(group)}/package", {"location": location}, None, timeout)

    def deploy_update_package(
        self,
        group: str,
        *,
        clients: typing.Optional[typing.Sequence[str]] = None,
        location: typing.Optional[str] = None,
        timeout: typing.Optional[float] = None,
    ) -> Deployed:
        """Import a communication update package into clients of this lab that are on.

        POST /v1/groups/{group}/package

        group: Full path of the group, such as `My Company\\Desktops`.
        clients: Computer names of the clients; all clients with a policy of the group when absent.
        location: Location that the package is made for; the group's own settings when absent.
        """
        answer: Deployed = self._json(
            Deployed,
            "POST",
            f"/v1/groups/{quote(group)}/package",
            None,
            {"clients": clients, "location": location},
            timeout,
        )
        return answer

    def set_policy(
        self,
        group: str,
        policy: str,
        *,
        content: str,
        timeout: typing.Optional[float] = None,
    ) -> GroupView:
        """Add or change a policy.

        PUT /v1/groups/{group}/policies/{policy}

        group: Full path of the group.
        policy: Name of the policy.
        content: Text of the policy.
        """
        answer: GroupView = self._json(
            GroupView,
            "PUT",
            f"/v1/groups/{quote(group)}/policies/{quote(policy)}",
            None,
            {"content": content},
            timeout,
        )
        return answer

    def sylink(
        self,
        group: str,
        *,
        location: typing.Optional[str] = None,
        timeout: typing.Optional[float] = None,
    ) -> bytes:
        """Download the communications file that the console exports.

        GET /v1/groups/{group}/sylink

        group: Full path of the group, such as `My Company\\Desktops`.
        location: Location; the group's own settings when absent.
        """
        return self._bytes("GET", f"/v1/groups/{quote(group)}/sylink", {"location": location}, None, timeout)

    def health(self, *, timeout: typing.Optional[float] = None) -> Health:
        """Show whether the lab is ready.

        GET /v1/health
        """
        answer: Health = self._json(Health, "GET", "/v1/health", None, None, timeout)
        return answer

    def journal(
        self,
        *,
        action: typing.Optional[str] = None,
        agent: typing.Optional[str] = None,
        client: typing.Optional[str] = None,
        from_: typing.Optional[str] = None,
        kind: typing.Optional[Kind] = None,
        limit: typing.Optional[int] = None,
        manager: typing.Optional[str] = None,
        partial: typing.Optional[bool] = None,
        since: typing.Optional[int] = None,
        status: typing.Optional[int] = None,
        traceparent: typing.Optional[str] = None,
        until: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> Entries:
        """List journal entries, as JSON, NDJSON or HAR.

        GET /v1/journal

        action: Only exchanges with this action: hello, register, index, policy, list, package, upload, hold, refused,
            unknown-path ...
        agent: Only entries about the client with this identifier.
        client: Only entries about the client with this computer name.
        from_: Only entries from this lab time on.
        kind: Only entries of this kind.
        limit: Maximum number of entries to return, the latest ones; 1000 when absent, at most 100000.
        manager: Only entries of this manager.
        partial: Return a result even if matching entries may have been dropped. Defaults to `false`.
        since: Only entries from this number on. Defaults to `0`.
        status: Only responses with this status.
        traceparent: Only exchanges and calls whose request had this header `traceparent`, or one with this trace
            identifier (32 hexadecimal digits), as tools that trace their requests send it.
        until: Only entries up to this number.
        """
        answer: Entries = self._json(
            Entries,
            "GET",
            "/v1/journal",
            {
                "action": action,
                "agent": agent,
                "client": client,
                "from": from_,
                "kind": kind,
                "limit": limit,
                "manager": manager,
                "partial": partial,
                "since": since,
                "status": status,
                "traceparent": traceparent,
                "until": until,
            },
            None,
            timeout,
        )
        return answer

    def journal_as(
        self,
        format: Format,
        *,
        action: typing.Optional[str] = None,
        agent: typing.Optional[str] = None,
        client: typing.Optional[str] = None,
        from_: typing.Optional[str] = None,
        kind: typing.Optional[Kind] = None,
        limit: typing.Optional[int] = None,
        manager: typing.Optional[str] = None,
        partial: typing.Optional[bool] = None,
        since: typing.Optional[int] = None,
        status: typing.Optional[int] = None,
        traceparent: typing.Optional[str] = None,
        until: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> bytes:
        """List journal entries, as JSON, NDJSON or HAR, in this format.

        GET /v1/journal

        format: Format of the response: `json`, `ndjson` or `har`.
        action: Only exchanges with this action: hello, register, index, policy, list, package, upload, hold, refused,
            unknown-path ...
        agent: Only entries about the client with this identifier.
        client: Only entries about the client with this computer name.
        from_: Only entries from this lab time on.
        kind: Only entries of this kind.
        limit: Maximum number of entries to return, the latest ones; 1000 when absent, at most 100000.
        manager: Only entries of this manager.
        partial: Return a result even if matching entries may have been dropped. Defaults to `false`.
        since: Only entries from this number on. Defaults to `0`.
        status: Only responses with this status.
        traceparent: Only exchanges and calls whose request had this header `traceparent`, or one with this trace
            identifier (32 hexadecimal digits), as tools that trace their requests send it.
        until: Only entries up to this number.
        """
        return self._bytes(
            "GET",
            "/v1/journal",
            {
                "action": action,
                "agent": agent,
                "client": client,
                "from": from_,
                "kind": kind,
                "limit": limit,
                "manager": manager,
                "partial": partial,
                "since": since,
                "status": status,
                "traceparent": traceparent,
                "until": until,
                "format": format,
            },
            None,
            timeout,
        )

    def count_journal(
        self,
        *,
        action: typing.Optional[str] = None,
        agent: typing.Optional[str] = None,
        client: typing.Optional[str] = None,
        from_: typing.Optional[str] = None,
        kind: typing.Optional[Kind] = None,
        limit: typing.Optional[int] = None,
        manager: typing.Optional[str] = None,
        partial: typing.Optional[bool] = None,
        since: typing.Optional[int] = None,
        status: typing.Optional[int] = None,
        traceparent: typing.Optional[str] = None,
        until: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> EntryCount:
        """Count the matching entries by kind, action and status.

        GET /v1/journal/count

        action: Only exchanges with this action: hello, register, index, policy, list, package, upload, hold, refused,
            unknown-path ...
        agent: Only entries about the client with this identifier.
        client: Only entries about the client with this computer name.
        from_: Only entries from this lab time on.
        kind: Only entries of this kind.
        limit: Maximum number of entries to return, the latest ones; 1000 when absent, at most 100000.
        manager: Only entries of this manager.
        partial: Return a result even if matching entries may have been dropped. Defaults to `false`.
        since: Only entries from this number on. Defaults to `0`.
        status: Only responses with this status.
        traceparent: Only exchanges and calls whose request had this header `traceparent`, or one with this trace
            identifier (32 hexadecimal digits), as tools that trace their requests send it.
        until: Only entries up to this number.
        """
        answer: EntryCount = self._json(
            EntryCount,
            "GET",
            "/v1/journal/count",
            {
                "action": action,
                "agent": agent,
                "client": client,
                "from": from_,
                "kind": kind,
                "limit": limit,
                "manager": manager,
                "partial": partial,
                "since": since,
                "status": status,
                "traceparent": traceparent,
                "until": until,
            },
            None,
            timeout,
        )
        return answer

    def near_misses(
        self,
        *,
        action: typing.Optional[str] = None,
        agent: typing.Optional[str] = None,
        client: typing.Optional[str] = None,
        from_: typing.Optional[str] = None,
        kind: typing.Optional[Kind] = None,
        limit: typing.Optional[int] = None,
        manager: typing.Optional[str] = None,
        partial: typing.Optional[bool] = None,
        since: typing.Optional[int] = None,
        status: typing.Optional[int] = None,
        traceparent: typing.Optional[str] = None,
        until: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> typing.List[NearMiss]:
        """List requests that came close to a known one, and what was wrong with each.

        GET /v1/journal/near-misses

        action: Only exchanges with this action: hello, register, index, policy, list, package, upload, hold, refused,
            unknown-path ...
        agent: Only entries about the client with this identifier.
        client: Only entries about the client with this computer name.
        from_: Only entries from this lab time on.
        kind: Only entries of this kind.
        limit: Maximum number of entries to return, the latest ones; 1000 when absent, at most 100000.
        manager: Only entries of this manager.
        partial: Return a result even if matching entries may have been dropped. Defaults to `false`.
        since: Only entries from this number on. Defaults to `0`.
        status: Only responses with this status.
        traceparent: Only exchanges and calls whose request had this header `traceparent`, or one with this trace
            identifier (32 hexadecimal digits), as tools that trace their requests send it.
        until: Only entries up to this number.
        """
        answer: typing.List[NearMiss] = self._json(
            typing.List[NearMiss],
            "GET",
            "/v1/journal/near-misses",
            {
                "action": action,
                "agent": agent,
                "client": client,
                "from": from_,
                "kind": kind,
                "limit": limit,
                "manager": manager,
                "partial": partial,
                "since": since,
                "status": status,
                "traceparent": traceparent,
                "until": until,
            },
            None,
            timeout,
        )
        return answer

    def tail_journal(
        self,
        *,
        action: typing.Optional[str] = None,
        agent: typing.Optional[str] = None,
        client: typing.Optional[str] = None,
        from_: typing.Optional[str] = None,
        kind: typing.Optional[Kind] = None,
        limit: typing.Optional[int] = None,
        manager: typing.Optional[str] = None,
        partial: typing.Optional[bool] = None,
        since: typing.Optional[int] = None,
        status: typing.Optional[int] = None,
        traceparent: typing.Optional[str] = None,
        until: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> typing.Iterator[JsonObject]:
        """Follow new entries as server-sent events, without end.

        GET /v1/journal/tail

        action: Only exchanges with this action: hello, register, index, policy, list, package, upload, hold, refused,
            unknown-path ...
        agent: Only entries about the client with this identifier.
        client: Only entries about the client with this computer name.
        from_: Only entries from this lab time on.
        kind: Only entries of this kind.
        limit: Maximum number of entries to return, the latest ones; 1000 when absent, at most 100000.
        manager: Only entries of this manager.
        partial: Return a result even if matching entries may have been dropped. Defaults to `false`.
        since: Only entries from this number on. Defaults to `0`.
        status: Only responses with this status.
        traceparent: Only exchanges and calls whose request had this header `traceparent`, or one with this trace
            identifier (32 hexadecimal digits), as tools that trace their requests send it.
        until: Only entries up to this number.
        """
        return self._events(
            "GET",
            "/v1/journal/tail",
            {
                "action": action,
                "agent": agent,
                "client": client,
                "from": from_,
                "kind": kind,
                "limit": limit,
                "manager": manager,
                "partial": partial,
                "since": since,
                "status": status,
                "traceparent": traceparent,
                "until": until,
            },
            None,
            timeout,
        )

    def lists(self, *, timeout: typing.Optional[float] = None) -> typing.List[ListView]:
        """List the management server lists.

        GET /v1/lists
        """
        answer: typing.List[ListView] = self._json(typing.List[ListView], "GET", "/v1/lists", None, None, timeout)
        return answer

    def remove_list(self, list: str, *, timeout: typing.Optional[float] = None) -> typing.List[ListView]:
        """Remove a list without assignments.

        DELETE /v1/lists/{list}

        list: Name of the list.
        """
        answer: typing.List[ListView] = self._json(
            typing.List[ListView],
            "DELETE",
            f"/v1/lists/{quote(list)}",
            None,
            None,
            timeout,
        )
        return answer

    def list(self, list: str, *, timeout: typing.Optional[float] = None) -> ListView:
        """Show a list and its assignments.

        GET /v1/lists/{list}

        list: Name of the list.
        """
        answer: ListView = self._json(ListView, "GET", f"/v1/lists/{quote(list)}", None, None, timeout)
        return answer

    def set_list(
        self,
        list: str,
        *,
        copy_of: typing.Optional[str] = None,
        priorities: typing.Optional[typing.Sequence[typing.Sequence[RotationSettingsGroupsListPriority]]] = None,
        protocol: typing.Optional[typing.Literal["http", "https"]] = None,
        verify_ca: typing.Optional[bool] = None,
        timeout: typing.Optional[float] = None,
    ) -> ListView:
        """Copy or change a list.

        PUT /v1/lists/{list}

        list: Name of the list.
        copy_of: List to copy: what the other fields leave out is as in that list, also if there is a list of this
            name already. When absent, a new list is a copy of the default list.
        priorities: Servers of the list, one block per priority.
        protocol: Protocol that clients use.
        verify_ca: Whether clients also check the server's name against its certificate.
        """
        answer: ListView = self._json(
            ListView,
            "PUT",
            f"/v1/lists/{quote(list)}",
            None,
            {"copy_of": copy_of, "priorities": priorities, "protocol": protocol, "verify_ca": verify_ca},
            timeout,
        )
        return answer

    def assign_list(
        self,
        list: str,
        *,
        group: str,
        location: typing.Optional[str] = None,
        timeout: typing.Optional[float] = None,
    ) -> ListView:
        """Assign a list to a group or a location.

        PUT /v1/lists/{list}/assignments

        list: Name of the list.
        group: Full path of the group.
        location: Location; the group itself when absent.
        """
        answer: ListView = self._json(
            ListView,
            "PUT",
            f"/v1/lists/{quote(list)}/assignments",
            None,
            {"group": group, "location": location},
            timeout,
        )
        return answer

    def certificate(self, manager: str, *, timeout: typing.Optional[float] = None) -> Certificates:
        """Show a manager's certificates per store, and their history.

        GET /v1/managers/{manager}/certificate

        manager: Name of the manager.
        """
        answer: Certificates = self._json(
            Certificates,
            "GET",
            f"/v1/managers/{quote(manager)}/certificate",
            None,
            None,
            timeout,
        )
        return answer

    def update_certificate(
        self,
        manager: str,
        update: str,
        *,
        alias: typing.Optional[str] = None,
        certificate: typing.Optional[FileContent] = None,
        common_name: typing.Optional[str] = None,
        key: typing.Optional[FileContent] = None,
        key_password: typing.Optional[str] = None,
        keystore: typing.Optional[FileContent] = None,
        password: typing.Optional[str] = None,
        store_type: typing.Optional[typing.Literal["jks", "jceks", "pkcs12"]] = None,
        stores: typing.Optional[typing.Literal["both", "console", "client"]] = None,
        valid_days: typing.Optional[int] = None,
        timeout: typing.Optional[float] = None,
    ) -> Certificates:
        """Update a manager's server certificate under the name of an update; the same request again changes nothing,
        another one under a known name is refused with 409.

        PUT /v1/managers/{manager}/certificate/{update}

        manager: Name of the manager.
        update: Name of this update. The same request again changes nothing; another one under this name is refused.
        alias: Alias in the keystore; its only key when absent.
        certificate: Certificate (PEM as text, or any file); the manager makes a self-signed one when absent.
        common_name: Common name of a self-signed certificate; the manager's address when absent.
        key: Private key of the certificate (PEM as text, or any file).
        key_password: Password of the key, if it is encrypted; the keystore's password when absent.
        keystore: Keystore (JKS, JCEKS or PKCS#12), in base64 or as a file, instead of certificate and key.
        password: Password of the keystore; empty when absent.
        store_type: Type of the keystore; detected when absent.
        stores: Stores to update: both, as the wizard does, or one of them. Defaults to `"both"`.
        valid_days: Validity of a self-signed certificate in days; the assumption `certificate_validity_days` when
            absent.
        """
        answer: Certificates = self._json(
            Certificates,
            "PUT",
            f"/v1/managers/{quote(manager)}/certificate/{quote(update)}",
            None,
            {
                "alias": alias,
                "certificate": certificate,
                "common_name": common_name,
                "key": key,
                "key_password": key_password,
                "keystore": keystore,
                "password": password,
                "store_type": store_type,
                "stores": stores,
                "valid_days": valid_days,
            },
            timeout,
        )
        return answer

    def back_up_manager(self, manager: str, *, timeout: typing.Optional[float] = None) -> bytes:
        """Download a recovery file of a manager's current state: recovery_TIMESTAMP.zip.

        GET /v1/managers/{manager}/recovery

        manager: Name of the manager.
        """
        return self._bytes("GET", f"/v1/managers/{quote(manager)}/recovery", None, None, timeout)

    def replication(self, manager: str, *, timeout: typing.Optional[float] = None) -> Replication:
        """Show whether a manager replicates with the others.

        GET /v1/managers/{manager}/replication

        manager: Name of the manager.
        """
        answer: Replication = self._json(
            Replication,
            "GET",
            f"/v1/managers/{quote(manager)}/replication",
            None,
            None,
            timeout,
        )
        return answer

    def set_replication(
        self,
        manager: str,
        *,
        replicates: bool,
        timeout: typing.Optional[float] = None,
    ) -> Replication:
        """Break or restore a manager's replication. While it is broken, later changes reach only the other managers;
        certificate updates of this manager stay local.

        PUT /v1/managers/{manager}/replication

        manager: Name of the manager.
        replicates: False breaks the manager's replication; true restores it.
        """
        answer: Replication = self._json(
            Replication,
            "PUT",
            f"/v1/managers/{quote(manager)}/replication",
            None,
            {"replicates": replicates},
            timeout,
        )
        return answer

    def restart_manager(
        self,
        manager: str,
        *,
        service: typing.Optional[Service] = None,
        timeout: typing.Optional[float] = None,
    ) -> Certificates:
        """Restart the services of a manager.

        POST /v1/managers/{manager}/restart

        manager: Name of the manager.
        service: Service to restart; both when absent.
        """
        answer: Certificates = self._json(
            Certificates,
            "POST",
            f"/v1/managers/{quote(manager)}/restart",
            None,
            {"service": service},
            timeout,
        )
        return answer

    def restore_manager(
        self,
        manager: str,
        body: bytes,
        *,
        database: typing.Optional[bool] = None,
        timeout: typing.Optional[float] = None,
    ) -> RestoredManager:
        """Reinstall the managers from the recovery file (recovery_TIMESTAMP.zip) in the body.

        POST /v1/managers/{manager}/restore

        manager: Name of the manager.
        body: The content of the file.
        database: Whether the database is restored too, so that clients remain registered. Defaults to `false`.
        """
        answer: RestoredManager = self._json(
            RestoredManager,
            "POST",
            f"/v1/managers/{quote(manager)}/restore",
            {"database": database},
            body,
            timeout,
        )
        return answer

    def set_package(self, package: str, body: bytes, *, timeout: typing.Optional[float] = None) -> PackageView:
        """Add or replace a client package.

        PUT /v1/packages/{package}

        package: Name of the package.
        body: The content of the file.
        """
        answer: PackageView = self._json(PackageView, "PUT", f"/v1/packages/{quote(package)}", None, body, timeout)
        return answer

    def assign_package(self, package: str, *, group: str, timeout: typing.Optional[float] = None) -> GroupView:
        """Assign a package to a group.

        PUT /v1/packages/{package}/assignments

        package: Name of the package.
        group: Full path of the group, such as `My Company\\Desktops`.
        """
        answer: GroupView = self._json(
            GroupView,
            "PUT",
            f"/v1/packages/{quote(package)}/assignments",
            None,
            {"group": group},
            timeout,
        )
        return answer

    def report_sources(self, *, timeout: typing.Optional[float] = None) -> typing.List[ReportSource]:
        """List the processes that report clients which run elsewhere.

        GET /v1/reports
        """
        answer: typing.List[ReportSource] = self._json(
            typing.List[ReportSource],
            "GET",
            "/v1/reports",
            None,
            None,
            timeout,
        )
        return answer

    def forget_source(self, source: str, *, timeout: typing.Optional[float] = None) -> typing.List[ReportSource]:
        """Forget the reports of a process.

        DELETE /v1/reports/{source}

        source: Name of the source.
        """
        answer: typing.List[ReportSource] = self._json(
            typing.List[ReportSource],
            "DELETE",
            f"/v1/reports/{quote(source)}",
            None,
            None,
            timeout,
        )
        return answer

    def report_clients(
        self,
        source: str,
        *,
        at: str,
        began: str,
        instance: str,
        interval_ms: int,
        part: int,
        parts: int,
        states: typing.Sequence[ReportClientsState],
        is_last: typing.Optional[bool] = None,
        timeout: typing.Optional[float] = None,
    ) -> ReportSource:
        """Report what the clients of a process hold, in the place of its earlier reports; a token of the scope report
        is enough.

        PUT /v1/reports/{source}

        source: Name of the source.
        at: The time at which the process looked at its clients, by its clock.
        began: The time at which the process began, by its clock. Of two processes that report as one source the later
            one counts.
        instance: The name of this run of the process, which no other has.
        interval_ms: The longest time until the next report of these clients in milliseconds, from 1000 to 3600000.
            After three of these without a report the clients count as unknown.
        part: The number of this part of the process's clients, from 1.
        parts: The number of parts that the process reports its clients in.
        states: The states of the clients, at most 5000 clients in all.
        is_last: Whether the process ends: its clients have stopped, and nothing changes until they are started again.
            Defaults to `false`.
        """
        answer: ReportSource = self._json(
            ReportSource,
            "PUT",
            f"/v1/reports/{quote(source)}",
            None,
            {
                "at": at,
                "began": began,
                "instance": instance,
                "interval_ms": interval_ms,
                "is_last": is_last,
                "part": part,
                "parts": parts,
                "states": states,
            },
            timeout,
        )
        return answer

    def reset(self, *, timeout: typing.Optional[float] = None) -> RestoredSnapshot:
        """Return the lab to its state right after its start.

        POST /v1/reset
        """
        answer: RestoredSnapshot = self._json(RestoredSnapshot, "POST", "/v1/reset", None, None, timeout)
        return answer

    def recorded_scenario(
        self,
        *,
        folder: typing.Optional[str] = None,
        timeout: typing.Optional[float] = None,
    ) -> RecordedScenario:
        """Make a scenario of what was done to the lab: commands, faults and clients, with the time between them.

        GET /v1/scenario

        folder: Name of the folder that files of the scenario are put into, beside it; `files` when absent.
        """
        answer: RecordedScenario = self._json(
            RecordedScenario,
            "GET",
            "/v1/scenario",
            {"folder": folder},
            None,
            timeout,
        )
        return answer

    def site(self, *, timeout: typing.Optional[float] = None) -> SiteView:
        """Show the site and its managers.

        GET /v1/site
        """
        answer: SiteView = self._json(SiteView, "GET", "/v1/site", None, None, timeout)
        return answer

    def snapshots(self, *, timeout: typing.Optional[float] = None) -> typing.List[SnapshotInfo]:
        """List the snapshots.

        GET /v1/snapshots
        """
        answer: typing.List[SnapshotInfo] = self._json(
            typing.List[SnapshotInfo],
            "GET",
            "/v1/snapshots",
            None,
            None,
            timeout,
        )
        return answer

    def remove_snapshot(self, snapshot: str, *, timeout: typing.Optional[float] = None) -> typing.List[SnapshotInfo]:
        """Remove a snapshot.

        DELETE /v1/snapshots/{snapshot}

        snapshot: Name of the snapshot: 1 to 128 characters, none of them a control character. `start` is that of the
            lab's start.
        """
        answer: typing.List[SnapshotInfo] = self._json(
            typing.List[SnapshotInfo],
            "DELETE",
            f"/v1/snapshots/{quote(snapshot)}",
            None,
            None,
            timeout,
        )
        return answer

    def take_snapshot(self, snapshot: str, *, timeout: typing.Optional[float] = None) -> SnapshotInfo:
        """Take a snapshot of the lab.

        PUT /v1/snapshots/{snapshot}

        snapshot: Name of the snapshot: 1 to 128 characters, none of them a control character. `start` is that of the
            lab's start.
        """
        answer: SnapshotInfo = self._json(
            SnapshotInfo,
            "PUT",
            f"/v1/snapshots/{quote(snapshot)}",
            None,
            None,
            timeout,
        )
        return answer

    def snapshot_changes(self, snapshot: str, *, timeout: typing.Optional[float] = None) -> SnapshotChanges:
        """Show what has changed since a snapshot: the site and the clients.

        GET /v1/snapshots/{snapshot}/changes

        snapshot: Name of the snapshot: 1 to 128 characters, none of them a control character. `start` is that of the
            lab's start.
        """
        answer: SnapshotChanges = self._json(
            SnapshotChanges,
            "GET",
            f"/v1/snapshots/{quote(snapshot)}/changes",
            None,
            None,
            timeout,
        )
        return answer

    def restore_snapshot(self, snapshot: str, *, timeout: typing.Optional[float] = None) -> RestoredSnapshot:
        """Return the lab to a snapshot.

        POST /v1/snapshots/{snapshot}/restore

        snapshot: Name of the snapshot: 1 to 128 characters, none of them a control character. `start` is that of the
            lab's start.
        """
        answer: RestoredSnapshot = self._json(
            RestoredSnapshot,
            "POST",
            f"/v1/snapshots/{quote(snapshot)}/restore",
            None,
            None,
            timeout,
        )
        return answer

    def verdict(self, *, timeout: typing.Optional[float] = None) -> Verdict:
        """Show the verdict: what the clients hold, which are orphaned, since when and why.

        GET /v1/verdict
        """
        answer: Verdict = self._json(Verdict, "GET", "/v1/verdict", None, None, timeout)
        return answer

    def verdict_as(self, format: Format, *, timeout: typing.Optional[float] = None) -> bytes:
        """Show the verdict: what the clients hold, which are orphaned, since when and why, in this format.

        GET /v1/verdict

        format: Format of the response: `json`, or `junit` for a test report.
        """
        return self._bytes("GET", "/v1/verdict", {"format": format}, None, timeout)

    def if_now(self, body: typing.Sequence[JsonObject], *, timeout: typing.Optional[float] = None) -> Foreseen:
        """Predict which clients would be orphaned if these commands were applied now; changes nothing.

        POST /v1/verdict/if-now

        body: The objects, as JSON.
        """
        answer: Foreseen = self._json(Foreseen, "POST", "/v1/verdict/if-now", None, body, timeout)
        return answer
