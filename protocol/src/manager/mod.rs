//! What one manager does with a request: the answer, and what the visit changes.
//!
//! Both drivers, sockets and virtual time, call [`answer`]; how they keep the site's clients is their own affair
//! ([`ClientRegistry`]). No socket, clock or lock is known here.
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
use crate::site::{Answer, Client, Publication, Visit};

/// The clients of a site, as a driver keeps them while a manager answers a request.
pub trait ClientRegistry {
    /// Passes a client's record to `answer`, or none if the site does not know the client; then notes in the record the
    /// visit that `answer` returns.
    fn visit(
        &self,
        agent: AgentId,
        answer: impl FnOnce(Option<&Client>) -> (Answer, Visit),
    ) -> (Answer, Visit);

    /// Registers a client, and returns its record; none if the site did not take it.
    fn register(&mut self, registration: &Registration) -> Option<Client>;

    /// Notes that a machine came whose record belongs to another machine by now.
    fn note_conflict(&mut self, agent: AgentId);

    /// Whether a command waits for this client of which it has not been told.
    fn has_commands_for(&self, _agent: AgentId) -> bool {
        false
    }

    /// The commands that this client is told with its next index. They count as told from now on.
    fn tell_commands(&self, _agent: AgentId) -> Vec<ClientCommand> {
        Vec::new()
    }
}

/// Answers a request from a publication, and does what follows from it: a client is registered, a conflict of identities
/// is noted, and commands that wait for the client are told.
pub fn answer(
    publication: &Publication,
    request: &AgentRequest,
    clients: &mut impl ClientRegistry,
) -> Answer {
    let (answer, visit) = match request.agent() {
        None => publication.answer(request, None),
        Some(agent) => clients.visit(agent, |client| {
            let (answer, visit) = publication.answer(request, client);
            let told = client.and_then(|client| tell_commands(publication, request, client, &*clients));
            (told.map_or(answer, Answer::Now), visit)
        }),
    };
    match visit {
        // The turn of its record is known once the site has registered the client.
        Visit::Registering(registration) => {
            clients.register(&registration).map_or(answer, |client| Answer::Now(client.registered()))
        }
        Visit::Conflicting(agent) => {
            clients.note_conflict(agent);
            answer
        }
        Visit::Anonymous | Visit::Client { .. } | Visit::Reported { .. } => answer,
    }
}

/// The answer to a client for which commands wait, where they make a difference.
fn tell_commands(
    publication: &Publication,
    request: &AgentRequest,
    client: &Client,
    clients: &impl ClientRegistry,
) -> Option<ManagerResponse> {
    match request {
        AgentRequest::Hold { .. } if clients.has_commands_for(client.agent) => {
            Some(ManagerResponse::text(200, "changed"))
        }
        AgentRequest::Index { .. } => {
            publication.commanding(request, client, &clients.tell_commands(client.agent))
        }
        _ => None,
    }
}

/// The answer to a request that the manager does not understand, for instance because the shared secret is another.
pub fn refusal(error: &RequestError) -> ManagerResponse {
    ManagerResponse::text(400, &format!("{error}\n"))
}
