//! A fault rule: the kind, the clients, the place, the time, and the probability.
//!
//! Everything but the name and the kind may be left out, and then matches anything.

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

/// The default lifetime, in seconds, of a fault that was added by hand.
const DEFAULT_LIFETIME_SECONDS: u64 = 3600;

/// A fault: a kind, and the clients, places and occasions that it applies to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct FaultRule {
    /// The name of the fault, unique among the faults of a lab. Random decisions depend on it: two faults with the same
    /// rule and different names hit different occasions.
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
    /// The probability with which a matching occasion is hit, from 0 (never) to 1 (always); 1 if left out.
    #[serde(default = "always")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
}

/// The clients that something applies to. A condition that is left out matches any client; all given ones must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct Whom {
    /// A client, by its identifier or its computer's name; a `*` at the end matches any characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The clients of a group, by its full path, and of the groups below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The clients of a range of versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRange>,
    /// A share of the fleet in per cent, 0 to 100; always the same clients for a fault of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub percent: Option<f64>,
    /// The source IP address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

/// A half-open range of client versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct VersionRange {
    /// The first version of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ClientVersion>,
    /// The first version after the range.
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
    /// The listener: that of the REST API, or the clients' by its protocol; both of the clients' if left out.
    #[serde(default)]
    pub listener: Listener,
    /// The kind of request. A fault of the connection's bytes with a route affects the answer on that route;
    /// without one, the connection from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// The direction of the affected bytes; those to the client if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

/// A listener of a manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Listener {
    /// Listeners for clients that speak HTTP.
    Http,
    /// Listeners for clients that speak HTTPS.
    Https,
    /// Listeners for clients that speak HTTP or HTTPS.
    #[default]
    Both,
    /// The listener of the REST API.
    Rest,
}

/// The kind of request that a client makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// The browser test, `hello`.
    Hello,
    /// The registration of a client.
    Register,
    /// The index, a client's question for a new policy.
    Index,
    /// The download of the policy.
    Policy,
    /// The download of the management server list.
    List,
    /// The download of a client package.
    Package,
    /// The upload of the client's state.
    Upload,
    /// The held request of push mode.
    Hold,
}

/// The direction of bytes.
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
    /// Whether this direction includes `way`.
    pub const fn means(self, way: Self) -> bool {
        matches!(
            (self, way),
            (Self::Both, _) | (Self::ToClient, Self::ToClient) | (Self::ToManager, Self::ToManager)
        )
    }
}

/// The time and the occasions at which a fault applies. An occasion is a connection of a client, or an exchange of a
/// client on one route; each client's are counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct When {
    /// The moment from which the fault applies; since it was added if left out.
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
    /// The lifetime of the fault, in seconds after it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_live_seconds: Option<u64>,
}

/// The moment at which a rule is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// When a connection is opened.
    Connection,
    /// When a request has been decoded and is not answered yet.
    Exchange,
}

impl FaultRule {
    /// Makes a fault of this kind for all clients, at all places and times.
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
    /// Whether the listener is for clients and speaks this protocol.
    pub const fn speaks(self, protocol: Protocol) -> bool {
        match self {
            Self::Http => matches!(protocol, Protocol::Http),
            Self::Https => matches!(protocol, Protocol::Https),
            Self::Both => true,
            Self::Rest => false,
        }
    }
}

impl Route {
    /// The kinds of request that a fault can name.
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
            AgentRequest::Probe(probe) => Self::of(&probe.request),
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

/// Proposes the known names in the schema; other tools' names are accepted too.
fn name_or_table(generator: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = FaultKind::kinds().iter().map(|info| info.name).collect();
    let table = generator.subschema_for::<FaultKind>();
    schemars::json_schema!({"anyOf": [{"enum": names}, {"type": "string"}, table]})
}

const fn always() -> f64 {
    1.0
}
