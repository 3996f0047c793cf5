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

/// How long a fault lives that somebody made by hand, unless they said otherwise.
pub const DEFAULT_LIFETIME_SECONDS: u64 = 3600;

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", rename_all = "kebab-case")]
pub struct FaultRule {
    /// Its name, unique among the faults of a lab. It is part of what decides: two faults that say the same under
    /// different names hit differently.
    pub name: String,
    /// What is done: the name of a kind, where its defaults will do, or a table with `kind` and parameters.
    #[schemars(schema_with = "name_or_table")]
    pub what: FaultKind,
    /// To whom.
    #[serde(default)]
    pub whom: Whom,
    /// Where.
    #[serde(default, rename = "where", alias = "place")]
    pub place: Place,
    /// When.
    #[serde(default)]
    pub when: When,
    /// How often, of the occasions that fit otherwise: 0 never, 1 always.
    #[serde(default = "always")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
}

/// To whom something is done. What is left out does not matter; all that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", rename_all = "kebab-case")]
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
    /// So many in a hundred of the fleet, always the same ones for a fault of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub percent: Option<f64>,
    /// Whoever comes from this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

/// Versions from one up to, but not including, another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", rename_all = "kebab-case")]
pub struct VersionRange {
    /// The first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ClientVersion>,
    /// The first that does not belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<ClientVersion>,
}

/// Where something is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", rename_all = "kebab-case")]
pub struct Place {
    /// A manager, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// What is spoken.
    #[serde(default)]
    pub listener: Listener,
    /// What is asked. A fault of the connection's bytes with a route strikes the answer on that route; without one, the
    /// connection from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Which way the bytes go that are meant; those to the client if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Listener {
    /// In the clear.
    Http,
    /// TLS.
    Https,
    /// Either.
    #[default]
    Both,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// The reachability test.
    Hello,
    /// Registration.
    Register,
    /// What is new?
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

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the client to the manager.
    #[serde(alias = "upstream")]
    ToManager,
    /// From the manager to the client.
    #[serde(alias = "downstream")]
    ToClient,
    /// Either way.
    Both,
}

impl Direction {
    /// Whether bytes that go this way are meant.
    pub const fn means(self, way: Self) -> bool {
        matches!(
            (self, way),
            (Self::Both, _) | (Self::ToClient, Self::ToClient) | (Self::ToManager, Self::ToManager)
        )
    }
}

/// When something is done. The counts are of one client: of its connections, or of its exchanges on one route, as the
/// carrier counts them from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", rename_all = "kebab-case")]
pub struct When {
    /// From this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub from: Option<Timestamp>,
    /// Until this moment, which does not belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// The first so many are spared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Of the others, each so-manieth: 3 is the third, the sixth, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Of what is left, only the first so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// How long the fault lives after it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_live_seconds: Option<u64>,
}

/// When a rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// When a connection comes.
    Connection,
    /// When a request has been understood, before it is answered.
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

    /// The same, with an hour to live where nothing is said about its end.
    #[must_use]
    pub fn with_default_lifetime(mut self) -> Self {
        if self.when.until.is_none() && self.when.time_to_live_seconds.is_none() {
            self.when.time_to_live_seconds = Some(DEFAULT_LIFETIME_SECONDS);
        }
        self
    }

    /// When it is asked first.
    pub fn moment(&self) -> Moment {
        match self.what.layer() {
            Layer::Tcp if self.place.route.is_some() => Moment::Exchange,
            Layer::Listener | Layer::Tcp | Layer::Tls | Layer::Certificate => Moment::Connection,
            Layer::Http | Layer::Artifact | Layer::List | Layer::Site => Moment::Exchange,
        }
    }

    /// Whether it is asked at this moment. A restored certificate shows twice: when a connection comes, and in the
    /// signatures of what is downloaded.
    pub fn is_asked_at(&self, moment: Moment) -> bool {
        self.moment() == moment || (moment == Moment::Exchange && self.what == FaultKind::OldRestored)
    }

    /// Whether it hits everybody who comes to the place, every time, while it lasts.
    pub fn is_for_all(&self) -> bool {
        let When { after, first, every, .. } = &self.when;
        let counts = after.unwrap_or(0) > 0 || first.is_some() || every.is_some_and(|n| n > 1);
        self.whom == Whom::default() && !counts && self.probability >= 1.0
    }
}

impl VersionRange {
    /// Whether this version belongs to it.
    pub fn contains(&self, version: ClientVersion) -> bool {
        self.from.is_none_or(|from| from <= version) && self.until.is_none_or(|until| version < until)
    }
}

impl Listener {
    /// Whether this is spoken there.
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

    /// Its name.
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

    /// Whether something is downloaded here that has a signature.
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
