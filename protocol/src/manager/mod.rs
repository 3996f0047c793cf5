//! What one manager does with a request: the answer, and what the visit changes.
//!
//! Both drivers, sockets and virtual time, call [`answer`] and then [`follow`]; how they keep the site's clients is their
//! own affair ([`ClientTable`], [`Registrar`]). No socket, clock or lock is known here.
//!
//! | room | what |
//! |---|---|
//! | [`previous`] | what a manager was before its last change |
//! | [`faulted`] | what a fault makes of a request that was understood, and of its answer |

pub mod faulted;
pub mod previous;

#[cfg(test)]
mod tests;

use crate::heartbeat::http::RequestError;
use crate::heartbeat::{AgentRequest, ClientCommand, ManagerResponse, Registration};
use crate::id::AgentId;
use crate::site::{Answer, Publication, RegisteredClient, Visit};

/// The clients of a site, as a driver keeps them.
pub trait ClientTable {
    /// Passes a client's record to `answer`, or none if the site does not know the client; then notes in the record the
    /// visit that `answer` returns.
    fn visit(
        &self,
        agent: AgentId,
        answer: impl FnOnce(Option<&RegisteredClient>) -> (Answer, Visit),
    ) -> (Answer, Visit);

    /// Whether a command waits for this client of which it has not been told.
    fn has_commands_for(&self, _agent: AgentId) -> bool {
        false
    }

    /// The commands that this client is told with its next index. They count as told from now on.
    fn tell_commands(&self, _agent: AgentId) -> Vec<ClientCommand> {
        Vec::new()
    }
}

/// A site that registers clients.
pub trait Registrar {
    /// Registers a client, and returns its record; none if the site did not take it.
    fn register(&mut self, registration: &Registration) -> Option<RegisteredClient>;

    /// Notes that a machine came whose record belongs to another machine by now.
    fn note_conflict(&mut self, agent: AgentId);
}

/// Answers a request from a publication, with the commands that wait for the client. What the visit asks of the site is
/// done by [`follow`].
pub fn answer(
    publication: &Publication,
    request: &AgentRequest,
    clients: &impl ClientTable,
) -> (Answer, Visit) {
    let Some(agent) = request.agent() else { return publication.answer(request, None) };
    clients.visit(agent, |client| {
        let (answer, visit) = publication.answer(request, client);
        let told = client.and_then(|client| tell_commands(publication, request, client, clients));
        (told.map_or(answer, Answer::Now), visit)
    })
}

/// Does what a visit asks of the site: a client is registered, or a conflict of identities is noted. Returns the answer
/// that the client gets.
pub fn follow(answer: Answer, visit: &Visit, site: &mut impl Registrar) -> Answer {
    match visit {
        // The turn of its record is known once the site has registered the client.
        Visit::Registering(registration) => {
            site.register(registration).map_or(answer, |client| Answer::Now(client.registered()))
        }
        Visit::Conflicting(agent) => {
            site.note_conflict(*agent);
            answer
        }
        Visit::Anonymous | Visit::Client { .. } | Visit::Reported { .. } => answer,
    }
}

/// The answer to a client for which commands wait, where they make a difference.
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

/// The answer to a request that the manager does not understand, for instance because the shared secret is another.
pub fn refusal(error: &RequestError) -> ManagerResponse {
    ManagerResponse::text(400, &format!("{error}\n"))
}
