//! Runs one heartbeat of a client with one server, and observes it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use epm_protocol::assumption::Assumptions;
use epm_protocol::heartbeat::{AgentRequest, Probe, Registered, Registration};
use epm_protocol::sylink::{ClientServer, Sylink};
use epm_protocol::time::Clock;

use super::clock::LabClock;
use super::connection::ask_from;
use crate::agent::{Agent, AgentProfile, AgentState, Cache, Exchange, Input, Output, Server};
use crate::doctor::{Examination, Step};

/// Examines every server of a communications file, in order. The requests are probes, of which a manager of this lab keeps
/// nothing. `source` is the source address of connections to loopback, such as that of a client of a lab; the system's choice
/// if none.
pub async fn examine(
    sylink: &Sylink,
    profile: &AgentProfile,
    assumptions: &Arc<Assumptions>,
    clock: &Arc<LabClock>,
    source: Option<Ipv4Addr>,
) -> Vec<Examination> {
    let mut all = Vec::new();
    let conf = sylink.conf();
    for server in conf.list.servers() {
        all.push(examine_one(sylink, server, profile, assumptions, clock, source).await.0);
    }
    all
}

/// Examines one server as if the file named only it; returns the results and the client afterwards.
pub async fn examine_one(
    sylink: &Sylink,
    server: &ClientServer,
    profile: &AgentProfile,
    assumptions: &Arc<Assumptions>,
    clock: &Arc<LabClock>,
    source: Option<Ipv4Addr>,
) -> (Examination, Agent) {
    let mut alone = sylink.clone();
    let mut conf = alone.conf();
    conf.list.priorities = vec![vec![server.clone()]];
    alone.adopt(&conf);
    let cache = Cache { sylink: Arc::new(alone), state: AgentState::default() };
    let mut agent = Agent::new(profile.clone(), cache, Arc::clone(assumptions));
    let target = Server::of_list(server);
    let mut found = Examination::new(target.to_string(), target.protocol, server.verify_signatures);
    heartbeat(&mut agent, &mut found, clock, source).await;
    (found, agent)
}

/// Makes one heartbeat, after the browser test, and records the result of each step that it tries.
async fn heartbeat(
    agent: &mut Agent,
    found: &mut Examination,
    clock: &Arc<LabClock>,
    source: Option<Ipv4Addr>,
) {
    agent.handle(Input::Start { booted: clock.now() }, clock.now());
    let mut next = sent(agent.handle(Input::Wake, clock.now()));
    let mut at = Step::Serial;
    if let Some(first) = &next {
        let hello = Exchange { request: AgentRequest::Hello, ..Exchange::clone(first) };
        let outcome = ask_from(source, Arc::clone(clock), &hello).await;
        let reached = outcome.as_ref().map_or_else(Step::broken_by, |_| Step::Hello);
        Step::ALL.into_iter().filter(|step| *step < reached).for_each(|step| found.pass(step));
        match outcome {
            Ok(answer) if answer.status == 200 => found.pass(Step::Hello),
            Ok(answer) => {
                return found.fail(reached, &format_args!("the manager answered {}", answer.status));
            }
            Err(failure) => return found.fail(reached, &failure),
        }
    }
    let mut registration = None;
    while let Some(exchange) = next.take_if(|one| !matches!(one.request, AgentRequest::Hold { .. })) {
        at = Step::of(&exchange.request);
        let outcome = ask_from(source, Arc::clone(clock), &probing(&exchange, &mut registration)).await;
        if let Ok(answer) = &outcome {
            found.answered(at, answer.status);
            if at == Step::Registration {
                // A manager whose answer is unknown does not know probes either.
                let is_probe =
                    Registered::from_body(&answer.body).is_some_and(|registered| registered.is_probe);
                found.stays_registered |= answer.status == 200 && !is_probe;
            }
        }
        next = sent(agent.handle(Input::Answered { exchange: exchange.id, outcome }, clock.now()));
    }
    found.conclude(&agent.view(), at);
}

/// The exchange as a probe. A client registers first; `registration` is what it then said of itself.
fn probing(exchange: &Exchange, registration: &mut Option<Registration>) -> Exchange {
    if let AgentRequest::Register(own) = &exchange.request {
        *registration = Some(own.clone());
    }
    let request = exchange.request.clone();
    let request = match registration.clone() {
        Some(registration) => AgentRequest::Probe(Box::new(Probe { registration, request })),
        None => request,
    };
    Exchange { request, ..exchange.clone() }
}

/// The exchange that the client asks for.
fn sent(outputs: Vec<Output>) -> Option<Box<Exchange>> {
    outputs.into_iter().rev().find_map(|output| match output {
        Output::Send(exchange) => Some(exchange),
        _ => None,
    })
}
