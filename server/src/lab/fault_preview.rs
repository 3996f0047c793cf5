//! Which clients a fault would hit at their next occasions, before it is set.

use std::net::{IpAddr, Ipv4Addr};

use epm_protocol::fault::{
    ConnectionFacts, ExchangeFacts, FaultError, FaultRule, FaultSet, Listener, Moment, Party, Past, Route,
    Verdict,
};
use epm_protocol::policy::Protocol;
use epm_protocol::time::Clock;

use crate::lab::Lab;

/// A client, or the callers of the REST API, and the ordinals of the occasions that a fault would hit.
pub(crate) struct FaultHits {
    /// Computer name of the client, or what calls the REST API.
    pub(crate) client: String,
    /// Ordinals of the occasions, from 1.
    pub(crate) ordinals: Vec<u64>,
}

impl Lab {
    /// What a fault would hit if it were set now, before or instead of the others that are set: of the first `asked` occasions of
    /// each client, at the manager that it names or else the first. Occasions count from 1, as if no fault were set yet.
    ///
    /// # Errors
    ///
    /// When the fault cannot be added.
    pub(crate) async fn preview_fault(
        &self,
        rule: FaultRule,
        asked: u64,
    ) -> Result<Vec<FaultHits>, FaultError> {
        let now = self.clock().now();
        let (name, moment, place) = (rule.name.clone(), rule.moment(), rule.place.clone());
        let (from, source) = (rule.when.from, rule.whom.source);
        let mut set = FaultSet::clone(&self.site.faults().set());
        let _ = set.remove(&name);
        set.add(rule.with_default_lifetime(), now)?;
        // A fault that begins later is asked for what it hits then.
        let now = from.map_or(now, |from| now.max(from));
        let managers: Vec<String> =
            self.site.look(|site| site.managers().map(|one| one.name.clone()).collect());
        let manager = place.manager.as_ref().or_else(|| managers.first()).map_or("", String::as_str);
        let is_hit = |verdict: &Verdict| verdict.hit().is_some_and(|hit| hit.rule.name == name);
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        if place.listener == Listener::Rest {
            let caller = source.unwrap_or(loopback);
            let foretold = set.explain_rest(moment, caller, manager, 1, asked, now);
            let ordinals =
                foretold.iter().filter(|one| is_hit(&one.verdict)).map(|one| one.ordinal).collect();
            return Ok(vec![FaultHits { client: "callers of the REST API".to_owned(), ordinals }]);
        }
        let hits = self.agents().await.into_iter().map(|(_, agent, _)| {
            let (profile, state, view) = (agent.profile(), &agent.cache().state, agent.view());
            let party = Party {
                agent: state.agent,
                computer: Some(&profile.computer_name),
                group: view.group.as_deref(),
                version: Some(profile.version),
                // To faults a client of the lab is at this address, whichever one it connects from.
                source: loopback,
            };
            let protocol = view.server.as_ref().map_or(Protocol::Https, |server| server.protocol);
            let past = Past::REPLACED;
            let verdict = |ordinal| match moment {
                Moment::Connection => {
                    set.judge_connection(&ConnectionFacts { party, manager, protocol, ordinal, past }, now)
                }
                Moment::Exchange => {
                    let route = place.route.unwrap_or(Route::Index);
                    set.judge_exchange(
                        &ExchangeFacts { party, manager, protocol, route, ordinal, held: 0, past },
                        now,
                    )
                }
            };
            let ordinals = (1..=asked).filter(|ordinal| is_hit(&verdict(*ordinal))).collect();
            FaultHits { client: profile.computer_name.clone(), ordinals }
        });
        Ok(hits.collect())
    }
}
