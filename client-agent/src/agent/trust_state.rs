//! What a client holds and trusts: its cache, and everything that follows from the communications file in it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::assumption::{AdoptionOrder, Assumptions};
use epm_protocol::heartbeat::http::sha256_hex;
use epm_protocol::heartbeat::{Artifact, Index, ManagerResponse, OperationalState};
use epm_protocol::plural::counted;
use epm_protocol::sylink::{AgentCommunication, CommConf, CommunicationMode, PublishedList, Sylink};
use epm_protocol::trust::{Beliefs, Fingerprint, Kcs, NameRule, Pins};
use epm_protocol::version::ClientVersion;

use super::adoption::{self, Refusal};
use super::cache::{Cache, Rescue};
use super::exchange::TlsCheck;
use super::failover::Server;
use super::log::{Event, News};

/// What a client holds and trusts.
#[derive(Clone, Debug)]
pub(super) struct TrustState {
    pub(super) cache: Cache,
    pub(super) conf: Arc<CommConf>,
    pub(super) kcs: Kcs,
    pub(super) pins: Pins,
    version: ClientVersion,
    assumptions: Arc<Assumptions>,
}

impl TrustState {
    pub(super) fn assume(&mut self, assumptions: Arc<Assumptions>) {
        self.assumptions = assumptions;
    }

    pub(super) fn new(mut cache: Cache, version: ClientVersion, assumptions: Arc<Assumptions>) -> Self {
        if cache.is_edited() {
            cache.state.forget_list();
        }
        let (pins, _) = adoption::pins(&cache.sylink);
        Self {
            conf: Arc::new(cache.sylink.conf()),
            kcs: kcs_of(&cache.sylink),
            cache,
            pins,
            version,
            assumptions,
        }
    }

    /// Whether the client authenticates its manager: the switch in its communications file.
    pub(super) fn secure(&self) -> bool {
        self.conf.list.priorities.iter().flatten().any(|server| server.verify_signatures)
    }

    pub(super) fn settings(&self) -> &AgentCommunication {
        &self.conf.settings
    }

    /// The interval between regular heartbeats.
    pub(super) fn interval(&self) -> Duration {
        let settings = self.settings();
        let seconds = match settings.mode {
            CommunicationMode::Push => settings.push_heartbeat_seconds,
            CommunicationMode::Pull => settings.pull_heartbeat_seconds,
        };
        Duration::from_secs(u64::from(seconds))
    }

    /// The check of this server's certificate.
    pub(super) fn check(&self, server: &Server) -> TlsCheck {
        if !self.secure() && !self.assumptions.switch_off_still_checks_tls {
            return TlsCheck::Nothing;
        }
        TlsCheck::Against(Beliefs {
            pins: self.pins.clone(),
            dates: self.assumptions.certificate_dates,
            names: if server.verify_ca { NameRule::Checked } else { self.assumptions.certificate_names },
        })
    }

    /// The state that the client reports to its manager.
    pub(super) fn report(&self) -> OperationalState {
        OperationalState {
            serial: self.cache.state.serial,
            certificates: self.pins.fingerprints(),
            secure_communications: self.secure(),
            location: self.cache.state.location.clone(),
            quarantined: self.cache.state.pending_commands.quarantined,
            content: self.cache.state.pending_commands.content,
            commands: self.cache.state.pending_commands.reports(),
        }
    }

    /// The artifacts of this index that the client lacks, the first to be fetched last.
    pub(super) fn missing(&self, index: &Index) -> Vec<Artifact> {
        let state = &self.cache.state;
        let lacks = |name: &str, checksum: &str| state.packages.get(name).is_none_or(|held| held != checksum);
        let mut wanted = Vec::new();
        if state.serial != Some(index.serial) {
            wanted.push(Artifact::Policy);
        }
        if state.list_checksum.as_deref() != Some(index.list_checksum.as_str()) {
            let place = match self.assumptions.adoption_order {
                AdoptionOrder::PolicyThenList => wanted.len(),
                AdoptionOrder::ListThenPolicy => 0,
            };
            wanted.insert(place, Artifact::List);
        }
        let packages = index.packages.iter().filter(|one| lacks(&one.name, &one.checksum));
        wanted.extend(packages.map(|one| Artifact::Package(one.name.clone())));
        wanted.reverse();
        wanted
    }

    /// Adopts a download if it is trusted; `speaking` is the name of the manager that it came from.
    pub(super) fn adopt(
        &mut self,
        artifact: &Artifact,
        response: &ManagerResponse,
        speaking: &str,
    ) -> Result<Vec<News>, Refusal> {
        let news = match artifact {
            Artifact::Policy => self.adopt_policy(response)?,
            Artifact::List => self.adopt_list(response, speaking)?,
            Artifact::Package(name) => self.adopt_package(name, response)?,
        };
        self.cache.state.complete = None;
        Ok(news)
    }

    fn adopt_policy(&mut self, response: &ManagerResponse) -> Result<Vec<News>, Refusal> {
        let accepted = adoption::accept(response, "policy", self.secure(), &self.pins)?;
        let policy = adoption::policy(&accepted)?;
        let serial = policy.serial;
        let received = format!(
            "Received a new policy with serial number {serial} from Symantec Endpoint Protection Manager{}.",
            unauthenticated(accepted.authenticated_by())
        );
        let mut news = vec![(Event::NewPolicyReceived, received)];
        if self.cache.state.group.as_ref().is_some_and(|group| *group != policy.group) {
            news.push((Event::ClientMoved, format!("The client is in the group {} now.", policy.group)));
        }
        let state = &mut self.cache.state;
        if accepted.authenticated_by().is_none() && state.serial != Some(serial) {
            state.harm.unsigned = state.harm.unsigned.saturating_add(1);
        }
        state.serial = Some(serial);
        state.policy_vouched_by = accepted.authenticated_by();
        self.cache.state.group = Some(policy.group);
        if policy.secure_communications != self.secure() {
            let mut sylink = Sylink::clone(&self.cache.sylink);
            sylink.set_verify_signatures(policy.secure_communications);
            news.extend(self.take_up(Arc::new(sylink)));
        }
        news.push((
            Event::NewPolicyApplied,
            format!("Applied new policy with serial number {serial} successfully."),
        ));
        Ok(news)
    }

    fn adopt_list(&mut self, response: &ManagerResponse, speaking: &str) -> Result<Vec<News>, Refusal> {
        let accepted = adoption::accept(response, "management server list", self.secure(), &self.pins)?;
        let (list, text) = adoption::list(&accepted)?;
        let conf = list.conf_for(self.cache.state.location.as_deref()).clone();
        let conf = match accepted.authenticated_by() {
            Some(_) => {
                adoption::certificates_taken(conf, &self.conf, speaking, self.version, &self.assumptions)
            }
            None => conf,
        };
        let mut sylink = Sylink::clone(&self.cache.sylink);
        sylink.adopt(&conf);
        let mut news = self.take_up(Arc::new(sylink));
        self.cache.state.list_checksum = Some(sha256_hex(accepted.body()));
        self.cache.state.list = Some(text);
        news.push((
            Event::NewPolicyReceived,
            format!(
                "Received the management server list {:?} with {}{}.",
                self.conf.list.name,
                counted(self.pins.len(), "certificate"),
                unauthenticated(accepted.authenticated_by())
            ),
        ));
        Ok(news)
    }

    fn adopt_package(&mut self, name: &str, response: &ManagerResponse) -> Result<Vec<News>, Refusal> {
        let accepted = adoption::accept::<Bytes>(response, "package", self.secure(), &self.pins)?;
        self.cache.state.packages.insert(name.to_owned(), sha256_hex(accepted.body()));
        let text = format!(
            "Received the client package {name:?}, {} bytes{}.",
            accepted.body().len(),
            unauthenticated(accepted.authenticated_by())
        );
        Ok(vec![(Event::NewPolicyReceived, text)])
    }

    /// Imports a communications file.
    pub(super) fn import(&mut self, sylink: Arc<Sylink>) -> Vec<News> {
        if sylink.domain_id() != self.cache.sylink.domain_id() {
            self.cache.state.agent = None;
        }
        let known = self.pins.clone();
        let mut news = self.take_up(sylink);
        self.cache.state.forget_list();
        self.cache.state.last_server = None;
        let state = &mut self.cache.state;
        match state.health.orphaned() {
            Some(_) => state.rescue = Some(Rescue::Imported),
            None => state.given_older_file |= known.iter().any(|one| !self.pins.contains(&one.fingerprint())),
        }
        news.push((Event::ImportedSylink, "Imported sylink.".to_owned()));
        news
    }

    /// Applies what the client's list says of another location. Certificates and switch stay as they are.
    pub(super) fn move_to(&mut self, location: Option<String>) -> Vec<News> {
        let shown = location.as_deref().unwrap_or("the default one");
        let mut news = vec![(Event::ClientMoved, format!("The location is {shown} now."))];
        self.cache.state.location = location;
        self.cache.state.report_due = true;
        let held = self.cache.state.list.clone();
        if let Some(list) = held.and_then(|text| PublishedList::parse(&text).ok()) {
            let secure = self.secure();
            let mut conf = list.conf_for(self.cache.state.location.as_deref()).clone();
            conf.certificates.clone_from(&self.conf.certificates);
            let mut sylink = Sylink::clone(&self.cache.sylink);
            sylink.adopt(&conf);
            sylink.set_verify_signatures(secure);
            news.extend(self.take_up(Arc::new(sylink)));
        }
        news
    }

    /// Replaces the communications file, and with it servers, certificates, settings and secret.
    fn take_up(&mut self, sylink: Arc<Sylink>) -> Vec<News> {
        let (pins, broken) = adoption::pins(&sylink);
        self.conf = Arc::new(sylink.conf());
        self.kcs = kcs_of(&sylink);
        self.pins = pins;
        self.cache.set_sylink(sylink);
        let ignored =
            |certificate| (Event::NewPolicyFailed, format!("Ignored the certificate {certificate}."));
        broken.into_iter().map(ignored).collect()
    }
}

/// The secret of a communications file, which was validated when the file was read.
fn kcs_of(sylink: &Sylink) -> Kcs {
    sylink.kcs_hex().parse().unwrap_or_else(|_| Kcs::from_bytes([0; 16]))
}

/// What the log adds for a download that was adopted without authentication (P5).
fn unauthenticated(by: Option<Fingerprint>) -> &'static str {
    match by {
        Some(_) => "",
        None => ", without authenticating it: secure communications are off",
    }
}
