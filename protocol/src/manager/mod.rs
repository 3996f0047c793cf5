//! What one manager does with a request: the answer, and what the visit changes.
//!
//! Both drivers, sockets and virtual time, call [`answer`] and then [`follow`]. Each keeps the site's clients in its
//! own way ([`ClientTable`], [`Registrar`]). No socket, clock or lock is known here.
//!
//! | module | what |
//! |---|---|
//! | [`previous`] | the state of a manager before its last change |
//! | [`faulted`] | the effect of a fault on a decoded request, and on its answer |

pub mod faulted;
pub mod previous;

#[cfg(test)]
mod tests;

use crate::heartbeat::http::RequestError;
use crate::heartbeat::{AgentRequest, ClientCommand, ManagerResponse, Registration};
use crate::id::AgentId;
use crate::site::{Answer, Publication, RegisteredClient, Visit, agent_id};

/// The clients of a site, as a driver stores them.
pub trait ClientTable {
    /// Passes a client's record to `answer`, or none if the site does not know the client; then records the
    /// visit that `answer` returns.
    fn visit(
        &self,
        agent: AgentId,
        answer: impl FnOnce(Option<&RegisteredClient>) -> (Answer, Visit),
    ) -> (Answer, Visit);

    /// Whether a command is pending that this client has not been told of.
    fn has_commands_for(&self, _agent: AgentId) -> bool {
        false
    }

    /// Returns the commands to name in this client's next index, and marks them as delivered.
    fn tell_commands(&self, _agent: AgentId) -> Vec<ClientCommand> {
        Vec::new()
    }
}

/// A site that registers clients.
pub trait Registrar {
    /// Returns the record that a client would have once registered; changes nothing.
    fn admitted(&self, registration: &Registration) -> RegisteredClient;

    /// Registers a client and returns its record; none if the site refuses it.
    fn register(&mut self, registration: &Registration) -> Option<RegisteredClient>;

    /// Notes a visit of a machine whose record now belongs to another machine.
    fn note_conflict(&mut self, agent: AgentId);
}

/// Answers a request from a publication, with the pending commands of the client. [`follow`] then makes the changes of
/// the site that the visit needs.
pub fn answer(
    publication: &Publication,
    request: &AgentRequest,
    clients: &impl ClientTable,
) -> (Answer, Visit) {
    let agent = match request {
        AgentRequest::Probe(probe) => Some(agent_id(probe.registration.hardware_key)),
        other => other.agent(),
    };
    let Some(agent) = agent else { return publication.answer(request, None) };
    clients.visit(agent, |client| {
        let (answer, visit) = publication.answer(request, client);
        let told = client.and_then(|client| tell_commands(publication, request, client, clients));
        (told.map_or(answer, Answer::Now), visit)
    })
}

/// Makes the changes of the site that a visit needs: registers a client, or notes an identity conflict. Returns the
/// answer for the client.
pub fn follow(publication: &Publication, answer: Answer, visit: &Visit, site: &mut impl Registrar) -> Answer {
    match visit {
        // The turn of the record is known once the site has registered the client.
        Visit::Registering(registration) => {
            let refused = || ManagerResponse::text(503, "the lab registers no further clients");
            Answer::Now(site.register(registration).map_or_else(refused, |client| client.registered()))
        }
        Visit::Probing(probe) => {
            let client = site.admitted(&probe.registration);
            publication.answer(&AgentRequest::Probe(probe.clone()), Some(&client)).0
        }
        Visit::Conflicting(agent) => {
            site.note_conflict(*agent);
            answer
        }
        Visit::Anonymous | Visit::Client { .. } | Visit::Reported { .. } => answer,
    }
}

/// Adds pending commands to the answer, where they make a difference.
fn tell_commands(
    publication: &Publication,
    request: &AgentRequest,
    client: &RegisteredClient,
    clients: &impl ClientTable,
) -> Option<ManagerResponse> {
    match request {
        AgentRequest::Hold { .. } if clients.has_commands_for(client.agent) => {
            Some(ManagerResponse::text(200, "changed"))
        }
        AgentRequest::Index { .. } => {
            publication.answer_with_commands(request, client, &clients.tell_commands(client.agent))
        }
        _ => None,
    }
}

/// Answers a request that could not be decoded, for instance because of a wrong shared secret.
pub fn refusal(error: &RequestError) -> ManagerResponse {
    ManagerResponse::text(400, &format!("{error}\n"))
}
