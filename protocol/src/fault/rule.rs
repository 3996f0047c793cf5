//! One fault: what, to whom, where, when, how often.
//!
//! Everything but the name and the kind may be left out, and then says "any": any client, anywhere, always.

use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::kind::FaultKind;
use super::layer::Layer;
use crate::heartbeat::{AgentRequest, Artifact};
use crate::policy::Protocol;
use crate::time::Timestamp;
use crate::version::ClientVersion;

/// The lifetime in seconds of a fault that was made by hand without an end.
const DEFAULT_LIFETIME_SECONDS: u64 = 3600;

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct FaultRule {
    /// The name of the fault, unique among the faults of a lab. The draws depend on it: two faults with the same rule
    /// and different names hit different occasions.
    pub name: String,
    /// The kind of fault: its name, if the defaults of its parameters will do, or a table with `kind` and parameters.
    #[schemars(schema_with = "name_or_table")]
    pub what: FaultKind,
    /// The clients that the fault applies to; all if left out.
    #[serde(default)]
    pub whom: Whom,
    /// The managers, listeners and routes that the fault applies to; all if left out.
    #[serde(default, rename = "where", alias = "place")]
    pub place: Place,
    /// The time and the occasions that the fault applies to; all if left out.
    #[serde(default)]
    pub when: When,
    /// The probability with which an occasion that fits otherwise is hit: 0 never, 1 always.
    #[serde(default = "always")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
}

/// To whom something is done. What is left out does not matter; all that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct Whom {
    /// A client, by its identifier or by its computer's name; a `*` at the end stands for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The clients of a group, and of the groups below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Clients of these versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRange>,
    /// The share of the fleet in per cent; always the same clients for a fault of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub percent: Option<f64>,
    /// The source address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

/// Versions from one up to, but not including, another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct VersionRange {
    /// The first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ClientVersion>,
    /// The first that does not belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<ClientVersion>,
}

/// The place at which a fault applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct Place {
    /// A manager, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// The protocol of the listener.
    #[serde(default)]
    pub listener: Listener,
    /// The route of the request. A fault of the connection's bytes with a route affects the answer on that route;
    /// without one, the connection from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// The direction of the bytes that are affected; those to the client if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

/// The protocol of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Listener {
    /// In the clear.
    Http,
    /// TLS.
    Https,
    /// HTTP or HTTPS.
    #[default]
    Both,
}

/// The kind of request that a client makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// The reachability test.
    Hello,
    /// Registration.
    Register,
    /// The question for a new policy.
    Index,
    /// The policy.
    Policy,
    /// The management server list.
    List,
    /// A client package.
    Package,
    /// The client's state.
    Upload,
    /// The held request of push mode.
    Hold,
}

/// The direction in which bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the client to the manager.
    #[serde(alias = "upstream")]
    ToManager,
    /// From the manager to the client.
    #[serde(alias = "downstream")]
    ToClient,
    /// Both directions.
    Both,
}

impl Direction {
    /// Whether bytes that go this way are affected.
    pub const fn means(self, way: Self) -> bool {
        matches!(
            (self, way),
            (Self::Both, _) | (Self::ToClient, Self::ToClient) | (Self::ToManager, Self::ToManager)
        )
    }
}

/// The time and the occasions at which a fault applies. The driver counts from 1, for each client: its connections, or
/// its exchanges on one route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct When {
    /// The moment from which the fault applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub from: Option<Timestamp>,
    /// The moment until which the fault applies, exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// Skips the first N occasions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Applies only to every Nth of the remaining occasions: 3 is the third, the sixth, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Applies only to the first N of the occasions that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The lifetime of the fault in seconds after it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_live_seconds: Option<u64>,
}

/// The moment at which a rule is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// A connection is opened.
    Connection,
    /// A request has been decoded and is not answered yet.
    Exchange,
}

impl FaultRule {
    /// This kind, for everybody, everywhere, always.
    pub fn new(name: &str, what: FaultKind) -> Self {
        Self {
            name: name.to_owned(),
            what,
            whom: Whom::default(),
            place: Place::default(),
            when: When::default(),
            probability: 1.0,
        }
    }

    /// Limits the lifetime to an hour if the rule names no end.
    #[must_use]
    pub fn with_default_lifetime(mut self) -> Self {
        if self.when.until.is_none() && self.when.time_to_live_seconds.is_none() {
            self.when.time_to_live_seconds = Some(DEFAULT_LIFETIME_SECONDS);
        }
        self
    }

    /// The moment at which the rule is judged first.
    pub fn moment(&self) -> Moment {
        match self.what.layer() {
            Layer::Tcp if self.place.route.is_some() => Moment::Exchange,
            Layer::Listener | Layer::Tcp | Layer::Tls | Layer::Certificate => Moment::Connection,
            Layer::Http | Layer::Artifact | Layer::List | Layer::Site => Moment::Exchange,
        }
    }

    /// Whether the rule is judged at this moment. A restored certificate shows twice: when a connection is opened, and
    /// in the signatures of downloads.
    pub fn is_asked_at(&self, moment: Moment) -> bool {
        self.moment() == moment || (moment == Moment::Exchange && self.what == FaultKind::OldRestored)
    }

    /// Whether the fault hits every client at its place, on every occasion, while it lasts.
    pub fn is_for_all(&self) -> bool {
        let When { after, first, every, .. } = &self.when;
        let counts = after.unwrap_or(0) > 0 || first.is_some() || every.is_some_and(|n| n > 1);
        self.whom == Whom::default() && !counts && self.probability >= 1.0
    }
}

impl VersionRange {
    /// Whether the range contains this version.
    pub fn contains(&self, version: ClientVersion) -> bool {
        self.from.is_none_or(|from| from <= version) && self.until.is_none_or(|until| version < until)
    }
}

impl Listener {
    /// Whether the listener speaks this protocol.
    pub const fn speaks(self, protocol: Protocol) -> bool {
        match self {
            Self::Http => matches!(protocol, Protocol::Http),
            Self::Https => matches!(protocol, Protocol::Https),
            Self::Both => true,
        }
    }
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Hello,
        Self::Register,
        Self::Index,
        Self::Policy,
        Self::List,
        Self::Package,
        Self::Upload,
        Self::Hold,
    ];

    /// The route of a request.
    pub const fn of(request: &AgentRequest) -> Self {
        match request {
            AgentRequest::Hello => Self::Hello,
            AgentRequest::Register(_) => Self::Register,
            AgentRequest::Index { .. } => Self::Index,
            AgentRequest::Fetch { artifact: Artifact::Policy, .. } => Self::Policy,
            AgentRequest::Fetch { artifact: Artifact::List, .. } => Self::List,
            AgentRequest::Fetch { artifact: Artifact::Package(_), .. } => Self::Package,
            AgentRequest::Upload { .. } => Self::Upload,
            AgentRequest::Hold { .. } => Self::Hold,
        }
    }

    /// The name of the route.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Register => "register",
            Self::Index => "index",
            Self::Policy => "policy",
            Self::List => "list",
            Self::Package => "package",
            Self::Upload => "upload",
            Self::Hold => "hold",
        }
    }

    /// Whether a signed artifact is downloaded on this route.
    pub const fn is_download(self) -> bool {
        matches!(self, Self::Policy | Self::List | Self::Package)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The names are there to be proposed; other tools' names for the same are taken too.
fn name_or_table(generator: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = FaultKind::kinds().iter().map(|info| info.name).collect();
    let table = generator.subschema_for::<FaultKind>();
    schemars::json_schema!({"anyOf": [{"enum": names}, {"type": "string"}, table]})
}

const fn always() -> f64 {
    1.0
}
