//! Coverage: which clients hold what they should, and how long to wait for the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use epm_protocol::plural::either;
use serde_json::{Value, json};

use super::rotation::{COUNTED, Halt, Obstacle, Rotation, UNCOUNTED, certificate_of, some, style, text};
use crate::cli::io::Failure;

/// The number of heartbeats for which clients that are away are awaited, since some are on only now and then.
pub(super) const BEATS_AWAY: u32 = 12;
/// Page size for listing clients, the control API's maximum.
const PAGE: usize = 1000;
/// Default wait for clients that are on, in milliseconds of lab time.
const USUAL_PATIENCE: i64 = 3_600_000;
/// Longest wait for one heartbeat of every client, in seconds of real time.
const BEAT_SECONDS: u64 = 3600;

/// Refresh interval of the progress bar.
const TICK: Duration = Duration::from_millis(100);

/// A client's progress in a rotation.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) list: String,
    pub(super) is_on: bool,
    /// Suspended by the lab's operator.
    pub(super) is_frozen: bool,
    /// Whether the client runs outside the lab's process.
    pub(super) is_elsewhere: bool,
    /// Lab time of the last contact, in milliseconds since 1970.
    pub(super) last_seen: i64,
    /// What the client still lacks; none if it is covered.
    lacks: Option<String>,
}

impl Rotation {
    /// Every client: those of the lab's process through the control API, others through the REST API.
    pub(super) async fn clients(&mut self) -> Result<Vec<Seen>, Failure> {
        let mut rows: Vec<Value> = Vec::new();
        loop {
            let page = self.control.get(&format!("/v1/clients?limit={PAGE}&offset={}", rows.len())).await?;
            let more = page["clients"].as_array().cloned().unwrap_or_default();
            if more.is_empty() {
                break;
            }
            rows.extend(more);
        }
        let held: BTreeMap<String, Value> = rows.into_iter().map(|row| (text(&row["client"]), row)).collect();
        let groups = self.rest.all("/groups").await?;
        let serials: BTreeMap<String, String> =
            groups.iter().map(|group| (text(&group["id"]), text(&group["policySerialNumber"]))).collect();
        let lists = self.control.get("/v1/groups").await?;
        let lists: BTreeMap<String, String> = lists
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| (text(&one["id"]), text(&one["list"])))
            .collect();
        let mut computers: BTreeMap<String, Value> = BTreeMap::new();
        for computer in self.rest.all("/computers").await? {
            // A re-installed client is listed twice; the most recent row counts.
            let name = text(&computer["computerName"]);
            let newer = |one: &Value| one["lastUpdateTime"].as_i64() <= computer["lastUpdateTime"].as_i64();
            if computers.get(&name).is_none_or(newer) {
                computers.insert(name, computer);
            }
        }
        let verdict = self.control.get("/v1/verdict").await?;
        let unknown: BTreeSet<&str> =
            verdict["unknown"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let seen = computers.into_iter().map(|(name, computer)| {
            let view = held.get(&name).map(|row| &row["view"]);
            let mut lacks = None;
            let serial = serials.get(&text(&computer["group"]["id"]));
            if serial.is_none_or(|serial| computer["profileSerialNo"].as_str() != Some(serial)) {
                lacks = Some("it does not hold the policy of its group".to_owned());
            }
            if let Some(view) = view {
                let holds: Vec<&str> =
                    view["certificates"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let missing = self.state.updated.iter().find(|(_, new)| !holds.contains(&new.as_str()));
                if let Some((manager, _)) = missing {
                    lacks = Some(format!("it does not hold the new certificate of {manager}"));
                }
            }
            if unknown.contains(name.as_str()) {
                lacks = Some("no process reports what it holds".to_owned());
            }
            let is_on = match held.get(&name) {
                Some(row) => row["on"] == true,
                None => computer["onlineStatus"] == 1,
            };
            // Of a client elsewhere the lab knows its group, which has the list for most locations.
            let list = match view {
                Some(view) => text(&view["list"]),
                None => lists.get(&text(&computer["group"]["id"])).cloned().unwrap_or_default(),
            };
            Seen {
                version: text(&computer["agentVersion"]),
                list,
                is_on,
                is_frozen: held.get(&name).is_some_and(|row| row["frozen"] == true),
                is_elsewhere: view.is_none(),
                last_seen: computer["lastUpdateTime"].as_i64().unwrap_or_default(),
                lacks,
                name,
            }
        });
        Ok(seen.collect())
    }

    /// Waits until every client that is on is covered. Clients that are away and may not be left behind stop the
    /// rotation, unless a maximum wait is set, after which it continues without them.
    pub(super) async fn wait(&mut self, step: &str) -> Result<(), Halt> {
        if self.options.no_wait {
            return Ok(());
        }
        let began = self.now().await?;
        let patience =
            self.options.max_wait.map(|wait| i64::try_from(wait.0.as_millis()).unwrap_or(i64::MAX));
        self.bar.set_style(style(UNCOUNTED));
        self.bar.reset();
        self.bar.enable_steady_tick(TICK);
        let waited = self.wait_for_coverage(step, began, patience).await;
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
        waited
    }

    async fn wait_for_coverage(&mut self, step: &str, began: i64, patience: Option<i64>) -> Result<(), Halt> {
        let mut beats = self.options.heartbeats;
        let mut beats_away = 0;
        loop {
            self.pass(beats).await?;
            beats = 1;
            self.certificates_stay().await?;
            self.nobody_is_lost(step).await?;
            let clients = self.clients().await?;
            let missing: Vec<&Seen> =
                clients.iter().filter(|one| one.lacks.is_some() && !self.is_left(one)).collect();
            let (on, away): (Vec<&Seen>, Vec<&Seen>) = missing.iter().partition(|one| one.is_on);
            self.bar.set_style(style(COUNTED));
            self.bar.set_length(clients.len() as u64);
            self.bar.set_position((clients.len() - missing.len()) as u64);
            self.tell(&format!(
                "  {} of {} ready{}{}\n",
                clients.len() - missing.len(),
                either(clients.len(), "client is", "clients are"),
                named("; not yet", &on),
                named("; away", &away)
            ));
            if missing.is_empty() {
                return Ok(());
            }
            let waited = self.now().await? - began;
            let nobody_is_on = clients.iter().all(|one| !one.is_on);
            beats_away = if on.is_empty() { beats_away + 1 } else { 0 };
            let stays_away = beats_away > BEATS_AWAY && patience.is_none();
            if waited < patience.unwrap_or(USUAL_PATIENCE) && !nobody_is_on && !stays_away {
                continue;
            }
            let names: Vec<(String, String)> = missing
                .iter()
                .map(|one| {
                    let lacks = one.lacks.clone().unwrap_or_default();
                    (one.name.clone(), if one.is_on { lacks } else { format!("it is away: {lacks}") })
                })
                .collect();
            if patience.is_some() {
                self.tell(&format!(
                    "  continuing without {}\n",
                    some(names.iter().map(|(name, _)| name.as_str()))
                ));
                self.state.left.extend(names.into_iter().map(|(name, _)| name));
                return Ok(());
            }
            let why = format!("{step}: {} not ready", either(names.len(), "client is", "clients are"));
            return self.refuse(vec![Obstacle::of_clients(why, names, "`--force` continues regardless")]);
        }
    }

    /// Refuses to continue if a manager no longer has the certificate that this rotation gave it: no wait would end well.
    pub(super) async fn certificates_stay(&self) -> Result<(), Halt> {
        let mut replaced = Vec::new();
        for (manager, given) in &self.state.updated {
            let found = self.control.get(&certificate_of(manager)).await?;
            if found["stores"]["client"]["fingerprint"] != **given {
                let why = format!(
                    "{manager} no longer has the certificate that {} gave it: a snapshot was restored, or something else replaced it",
                    self.state.name
                );
                replaced.push(Obstacle::of_site(why, "begin a new rotation, with another `--state` or none"));
            }
        }
        if replaced.is_empty() { Ok(()) } else { Err(Halt::Refused(replaced)) }
    }

    /// Refuses to continue while clients are orphaned that were not given up.
    async fn nobody_is_lost(&mut self, step: &str) -> Result<(), Halt> {
        let verdict = self.control.get("/v1/verdict").await?;
        let lost = verdict["orphaned"].as_array().into_iter().flatten();
        let lost = lost.map(|one| (text(&one["client"]), text(&one["why"])));
        let lost: Vec<_> = lost.filter(|(name, _)| !self.state.left.contains(name)).collect();
        if self.is_careless() {
            self.state.left.extend(lost.into_iter().map(|(name, _)| name)); // --no-wait ignores orphaned clients
            return Ok(());
        }
        let why = format!("{step}: {} orphaned", either(lost.len(), "client is", "clients are"));
        self.refuse(vec![Obstacle::of_clients(why, lost, "`--force` continues regardless")])
    }

    pub(super) fn is_left(&self, client: &Seen) -> bool {
        let named = &self.options.leave_behind;
        self.state.left.contains(&client.name)
            || !client.is_on && named.iter().any(|name| *name == client.name || name == "all")
    }

    /// Leaves behind every client that is away and may be left behind.
    pub(super) async fn leave_behind(&mut self) -> Result<(), Failure> {
        if !self.options.leave_behind.is_empty() {
            let clients = self.clients().await?;
            let left = clients.into_iter().filter(|one| one.lacks.is_some() && self.is_left(one));
            let left: Vec<String> = left.map(|one| one.name).collect();
            self.state.left.extend(left);
        }
        Ok(())
    }

    pub(super) async fn pass(&self, heartbeats: u64) -> Result<(), Failure> {
        let asked = json!({ "heartbeats": heartbeats, "limit_seconds": BEAT_SECONDS });
        self.control.post("/v1/clock/heartbeats", &asked).await.map(drop)
    }

    pub(super) async fn now(&self) -> Result<i64, Failure> {
        Ok(self.control.get("/v1/clock").await?["now_ms"].as_i64().unwrap_or_default())
    }
}

fn named(what: &str, clients: &[&Seen]) -> String {
    if clients.is_empty() {
        return String::new();
    }
    format!("{what}: {}", some(clients.iter().map(|one| one.name.as_str())))
}
