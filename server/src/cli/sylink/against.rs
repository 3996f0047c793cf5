//! Finds the wrong values in a communications file by observing how a manager responds to a client that has it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_client_agent::agent::{Agent, AgentProfile};
use epm_client_agent::doctor::{Examination, Outcome, Step};
use epm_client_agent::wire::{LabClock, examine_one};
use epm_protocol::assumption::{AdoptionOrder, Assumptions};
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::sylink::{ClientServer, Sylink};
use epm_protocol::time::Timestamp;

use super::facts::{Facts, Value};
use super::server::server;
use crate::cli::io::Failure;

/// Prefix of the names under which the check registers clients.
const NAME: &str = "epm-lab-check";

/// How a manager responds to a client with the file.
pub(super) struct Against {
    /// One heartbeat with the file.
    pub(super) found: Examination,
    /// Wrong values and the reason for each, in the order in which an administrator compares them.
    pub(super) wrong: Vec<(Value, String)>,
    /// Values that cannot be checked before others are corrected.
    pub(super) unknown: Vec<Value>,
    /// Why the manager itself does not serve; no value of the file is the reason for it.
    pub(super) manager: Option<String>,
}

impl Against {
    /// Whether the file or the manager is at fault.
    pub(super) fn is_wrong(&self) -> bool {
        !self.wrong.is_empty() || self.manager.is_some()
    }
}

/// A loopback address that the examination connects from, and the time by which it judges dates of certificates.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Standpoint {
    /// Connect from this loopback address, as a client of a lab does; then faults meant for that client apply
    #[arg(long, value_name = "ADDRESS", requires = "against")]
    source: Option<Ipv4Addr>,
    /// Judge the dates of certificates at this time, such as a lab's, instead of now
    #[arg(long, value_name = "TIME", requires = "against")]
    at: Option<Timestamp>,
}

/// Examines the file against this manager.
pub(super) async fn against(sylink: &Sylink, url: &str, from: Standpoint) -> Result<Against, Failure> {
    let target = server(url)?;
    let (found, agent) = look(sylink, &target, true, from).await?;
    let mut seen = Against { found, wrong: Vec::new(), unknown: Vec::new(), manager: None };
    let mut last = (seen.found.clone(), agent);
    if let Some((step @ (Step::Certificate | Step::Signature), why)) = broken(&seen.found)
        // A certificate that is refused after the first exchange is missing in the manager's own list.
        && !(step == Step::Certificate && seen.found.is_well(Step::Hello))
    {
        seen.wrong.push((Value::Certificates, why));
        // Later values are examined with a client that trusts any manager.
        last = look(sylink, &target, false, from).await?;
        seen.found.stays_registered |= last.0.stays_registered;
    }
    let (found, agent) = last;
    seen.judge(&found, sylink, &agent);
    let is_listed = sylink.conf().list.servers().any(|one| {
        let port = |port: Option<u16>| port.is_none() || [one.http_port, one.https_port].contains(&port);
        one.address.eq_ignore_ascii_case(&target.address) && port(target.http_port) && port(target.https_port)
    });
    if !is_listed && seen.wrong.iter().all(|(value, _)| *value != Value::Servers) {
        seen.wrong.push((Value::Servers, format!("the list has no server at {url}")));
    }
    seen.wrong.sort_by_key(|(value, _)| *value);
    Ok(seen)
}

impl Against {
    /// Judges the values that the last heartbeat exercised, and collects those that it did not.
    fn judge(&mut self, found: &Examination, sylink: &Sylink, agent: &Agent) {
        use Value::{Certificates, Domain, Group, List, Mode, Secret, Servers, Settings, Switch};
        let Some((step, why)) = broken(found) else { return self.compare(sylink, agent) };
        let mut unknown = vec![Mode, List, Group, Switch];
        if !found.is_well(Step::Registration) {
            unknown.extend([Domain, Secret]);
        }
        let is_wrong = |value| self.wrong.iter().any(|(wrong, _)| *wrong == value);
        let are_known = [Step::Certificate, Step::Signature].into_iter().any(|step| self.found.is_well(step));
        if !are_known && !is_wrong(Certificates) {
            unknown.push(Certificates);
        }
        match step {
            Step::Registration if why.contains("KCS") => {
                unknown.retain(|value| *value != Secret);
                self.wrong.push((Secret, why));
            }
            Step::Registration if why.contains("401") => {
                // A manager that refuses the domain could read the message, so the secret is right.
                unknown.retain(|value| ![Domain, Secret].contains(value));
                self.wrong.push((Domain, why));
            }
            Step::Serial => {
                self.wrong.push((Settings, format!("{why} (AlwaysConnect, DisableDownloadProfile)")));
            }
            Step::Name | Step::Tcp | Step::Tls => self.wrong.push((Servers, why)),
            _ => self.manager = Some(why),
        }
        unknown.sort();
        self.unknown = unknown;
    }

    /// Compares the file with what a manager that serves the client has told it.
    fn compare(&mut self, sylink: &Sylink, agent: &Agent) {
        let (file, told) = (Facts::of(sylink), Facts::of(&agent.cache().sylink));
        let trusts = self.wrong.iter().all(|(value, _)| *value != Value::Certificates);
        for (value, what, is, should) in file.differences(&told) {
            let counts = match value {
                Value::Mode | Value::List | Value::Servers | Value::Switch => true,
                // A client that trusted any manager was told all certificates anew.
                Value::Certificates => trusts,
                _ => false,
            };
            if counts {
                self.wrong.push((value, format!("{what} is {is}; the manager gives {should}")));
            }
        }
        let (wanted, got) = (sylink.preferred_group(), agent.view().group);
        if let (Some(wanted), Some(got)) = (wanted, got)
            && wanted != got
        {
            self.wrong
                .push((Value::Group, format!("it is {wanted}; the manager puts the client into {got}")));
        }
    }
}

/// Sends one heartbeat of a client with the file, to this server alone.
async fn look(
    sylink: &Sylink,
    target: &ClientServer,
    believes: bool,
    from: Standpoint,
) -> Result<(Examination, Agent), Failure> {
    let mut file = sylink.clone();
    let secure = believes && file.conf().list.servers().any(|server| server.verify_signatures);
    file.set_verify_signatures(secure);
    // Each file gets its own client, since the manager assigns a group per client.
    let mut name = sha256_hex(&sylink.to_bytes());
    name.truncate(8);
    let name = format!("{NAME}-{name}");
    let version = "14.3.8289".parse();
    let profile = AgentProfile {
        hardware_key: HardwareKey(Guid::derive(0, "hardware", &name, Ipv4Addr::LOCALHOST)),
        computer_name: name,
        version: version.map_err(|error| Failure::Failed(format!("{error}")))?,
        seed: 1,
        use_last_server: true,
    };
    // A client that trusts any manager takes the list first, and with it the certificates for everything else.
    let adoption_order = if believes { AdoptionOrder::default() } else { AdoptionOrder::ListThenPolicy };
    let assumptions =
        Assumptions { switch_off_still_checks_tls: believes, adoption_order, ..Assumptions::default() };
    let target = ClientServer { verify_signatures: secure, ..target.clone() };
    let clock = Arc::new(from.at.map_or_else(LabClock::wall, |at| LabClock::starting_at(at, 1)));
    Ok(examine_one(&file, &target, &profile, &Arc::new(assumptions), &clock, from.source).await)
}

fn broken(found: &Examination) -> Option<(Step, String)> {
    found.checks.iter().find_map(|check| match &check.outcome {
        Outcome::Broken { why, .. } => Some((check.step, why.clone())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use epm_protocol::fault::{FaultKind, FaultRule, Route};
    use epm_protocol::site::DEFAULT_GROUP;
    use epm_protocol::sylink::CommConf;

    use super::Value::{Certificates, Domain, Group, List, Mode, Secret, Settings, Switch};
    use super::{Against, Standpoint, Value, against};
    use crate::MockSite;

    async fn ask(site: &MockSite, url: &str, edit: impl FnOnce(&mut CommConf)) -> Against {
        let mut sylink = site.export_sylink(DEFAULT_GROUP, None).unwrap();
        let mut conf = sylink.conf();
        edit(&mut conf);
        sylink.adopt(&conf);
        against(&sylink, url, Standpoint::default()).await.unwrap()
    }

    fn wrong(seen: &Against) -> Vec<Value> {
        seen.wrong.iter().map(|(value, _)| *value).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_value_that_no_exchange_has_exercised_is_unknown() {
        let site = MockSite::start().await.unwrap();
        let (https, http) = (&site.addresses()[0].https, &site.addresses()[0].http);
        let seen = ask(&site, https, |conf| conf.settings.always_connect = false).await;
        assert_eq!(wrong(&seen), [Settings]);
        assert_eq!(seen.unknown, [Domain, Secret, Mode, List, Group, Switch, Certificates]);
        let off = |conf: &mut CommConf| conf.settings.disable_download_profile = true;
        let seen = ask(&site, https, off).await;
        assert_eq!((wrong(&seen).as_slice(), seen.manager.as_deref()), (&[Settings][..], None));
        assert_eq!(seen.unknown, [Mode, List, Group, Switch]);
        // Over HTTP a certificate is met only in a signature.
        assert_eq!(ask(&site, http, off).await.unknown, [Mode, List, Group, Switch, Certificates]);
        let seen = ask(&site, http, |conf| conf.settings.kcs_hex = "0".repeat(32)).await;
        assert_eq!(seen.unknown, [Domain, Mode, List, Group, Switch, Certificates]);
        assert_eq!(ask(&site, https, |_| ()).await.unknown, []);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_manager_that_does_not_send_what_its_index_names_is_at_fault_and_not_the_file() {
        let site = MockSite::start().await.unwrap();
        let url = &site.addresses()[0].https;
        for (kind, route) in [
            ("status", Route::Policy),
            ("missing", Route::List),
            ("status", Route::Upload),
            ("dead-server", Route::List),
            ("omits-new-certificate", Route::List),
        ] {
            let Ok(what) = FaultKind::named(kind) else { panic!("{kind}") };
            let mut rule = FaultRule::new(kind, what);
            rule.place.route = Some(route);
            let guard = site.faults().add(rule).unwrap();
            let seen = ask(&site, url, |_| ()).await;
            assert!(seen.manager.is_some() && wrong(&seen).is_empty(), "{kind}: {:?}", seen.wrong);
            assert_eq!(seen.unknown, [Mode, List, Group, Switch], "{kind}");
            drop(guard);
        }
        let what = FaultKind::named("bad-signature").unwrap_or_else(|_| panic!("a kind of fault"));
        let _guard = site.faults().add(FaultRule::new("signature", what)).unwrap();
        assert_eq!(wrong(&ask(&site, url, |_| ()).await), [Certificates]);
    }
}
