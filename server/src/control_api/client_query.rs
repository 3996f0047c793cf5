//! Which clients of the fleet a list has: a filter for everything that it shows of a client.

use epm_client_agent::agent::{AgentView, Health};
use epm_client_agent::scenario::Standing;
use epm_client_agent::wire::Glance;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::lab::Seen;

/// Filters for clients, and the page to return; absent filters match everything. A text matches whatever contains it, without regard
/// to case.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct ClientQuery {
    /// Only clients whose computer name contains this.
    name: Option<String>,
    /// Only clients of this part.
    part: Option<String>,
    /// Only clients in this state.
    state: Option<ClientState>,
    /// Only clients that the verdict finds so.
    standing: Option<ClientStanding>,
    /// Only clients of this cause: its number in `reasons` of the verdict.
    pub(super) reason: Option<usize>,
    /// Only clients whose machine is so.
    machine: Option<Machine>,
    /// Only clients whose version begins with this.
    version: Option<String>,
    /// Only clients in a group whose full path contains this.
    group: Option<String>,
    /// Only clients in a location whose name contains this.
    location: Option<String>,
    /// Only clients with a management server list whose name contains this.
    list: Option<String>,
    /// Only clients whose first server contains this, as `address:port`.
    server: Option<String>,
    /// Only clients that hold a certificate whose SHA-256 fingerprint begins with this, with or without colons.
    certificate: Option<String>,
    /// Only clients with a policy whose serial number contains this.
    serial: Option<String>,
    /// Only clients with at least so many heartbeats that no manager served.
    unserved: Option<u64>,
    /// Number of clients to skip.
    pub(super) offset: usize,
    /// Number of clients to return; 100 when absent, at most 1000.
    pub(super) limit: Option<usize>,
}

/// State of a client's connection with its managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ClientState {
    New,
    Connected,
    Disconnected,
    Orphaned,
}

/// How the verdict finds a client, as the lists of the verdict are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum ClientStanding {
    Well,
    Orphaned,
    OutOfTouch,
    NotSecure,
    Behind,
    Silent,
    Away,
}

/// State of a client's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Machine {
    On,
    Off,
    Frozen,
}

impl ClientState {
    const fn of(health: &Health) -> Self {
        match health {
            Health::New => Self::New,
            Health::Connected { .. } => Self::Connected,
            Health::Disconnected { .. } => Self::Disconnected,
            Health::Orphaned { .. } => Self::Orphaned,
        }
    }
}

impl ClientStanding {
    /// Whether a client that stands so can be meant.
    fn may_be_of(self, standing: Standing) -> bool {
        match self {
            Self::Silent => true,
            Self::Well => standing == Standing::Well,
            Self::Orphaned => standing == Standing::Orphaned,
            Self::Away => !matches!(standing, Standing::Well | Standing::Orphaned),
            Self::OutOfTouch => standing == Standing::OutOfTouch,
            Self::NotSecure => standing == Standing::NotSecure,
            Self::Behind => standing == Standing::Behind,
        }
    }

    /// Whether a client is meant that stands as it can be.
    fn is_of(self, glance: &Glance) -> bool {
        match self {
            Self::Silent => glance.is_silent,
            Self::Well => !glance.is_silent,
            Self::Orphaned => true,
            Self::Away => !glance.is_on,
            Self::OutOfTouch | Self::NotSecure | Self::Behind => glance.is_on,
        }
    }
}

impl ClientQuery {
    /// Whether clients that look like this can match; `in_force` are the certificates that managers show now.
    pub(super) fn fits_state(&self, view: &AgentView, in_force: &[Fingerprint]) -> bool {
        let text = |found: &Option<String>| found.clone().unwrap_or_default();
        let server =
            || view.server.as_ref().map(|one| format!("{}:{}", one.address, one.port)).unwrap_or_default();
        let holds = |wanted: &str| {
            let digits =
                |text: &str| text.chars().filter(|one| *one != ':').collect::<String>().to_uppercase();
            let wanted = digits(wanted);
            view.certificates.iter().any(|one| digits(&one.to_string()).starts_with(&wanted))
        };
        self.state.is_none_or(|wanted| wanted == ClientState::of(&view.health))
            && self.standing.is_none_or(|wanted| wanted.may_be_of(Standing::of(view, in_force)))
            && self
                .version
                .as_ref()
                .is_none_or(|wanted| view.version.to_string().starts_with(wanted.as_str()))
            && contains(self.group.as_ref(), &|| text(&view.group))
            && contains(self.location.as_ref(), &|| text(&view.location))
            && contains(self.list.as_ref(), &|| view.list.clone())
            && contains(self.server.as_ref(), &server)
            && contains(self.serial.as_ref(), &|| view.serial.map(|one| one.to_string()).unwrap_or_default())
            && self.certificate.as_deref().is_none_or(holds)
    }

    /// Whether a client matches whose state does.
    pub(super) fn fits(&self, seen: &Seen<'_>) -> bool {
        let glance = seen.glance;
        self.part.as_ref().is_none_or(|wanted| *wanted == seen.part)
            && self.standing.is_none_or(|wanted| wanted.is_of(glance))
            && self.machine.is_none_or(|wanted| match wanted {
                Machine::On => glance.is_on && !glance.is_frozen,
                Machine::Off => !glance.is_on,
                Machine::Frozen => glance.is_frozen,
            })
            && self
                .unserved
                .is_none_or(|least| glance.heartbeats.saturating_sub(glance.heartbeats_served) >= least)
            && contains(self.name.as_ref(), &|| seen.name.to_owned())
    }
}

/// Whether what is found contains what is wanted, without regard to case.
fn contains(wanted: Option<&String>, found: &dyn Fn() -> String) -> bool {
    wanted.is_none_or(|wanted| found().to_lowercase().contains(&wanted.to_lowercase()))
}
