//! What managers and clients exchange: the communications file, lists, answers and requests.

use std::sync::LazyLock;

use bytes::Bytes;
use epm_protocol::heartbeat::http::{decode, encode};
use epm_protocol::heartbeat::{ClientCommand, CommandKind, Index, OperationalState, Registered};
use epm_protocol::id::CommandId;
use epm_protocol::manager::{self, ClientTable};
use epm_protocol::policy::PolicyDocument;
use epm_protocol::site::{Answer, RegisteredClient, Site, Visit};
use epm_protocol::sylink::{PublishedList, Sylink, SylinkHead};
use epm_protocol::trust::Kcs;

use crate::manager::{MANAGER, site};
use crate::{is_short, read};

/// A communications file, in any encoding.
pub(crate) fn sylink(input: &[u8]) {
    let Some(mut file) = read(Sylink::parse_bytes(input)) else { return };
    let again = Sylink::parse_bytes(&file.to_bytes()).expect("what was written is read");
    assert_eq!(again, file);
    assert_eq!(again.conf(), file.conf());
    let conf = file.conf();
    let head = SylinkHead {
        domain_id: file.domain_id(),
        name_space: "rpc".to_owned(),
        preferred_group: file.preferred_group().unwrap_or_default(),
    };
    let composed = Sylink::compose(&head, &conf).to_xml();
    let composed = Sylink::parse(&composed).expect("what was composed is read");
    assert_eq!(composed.conf(), conf);
    assert_eq!(composed.preferred_group(), file.preferred_group());
    // A change keeps everything else.
    file.adopt(&conf);
    file.set_verify_signatures(true);
    file.set_preferred_group("A & B\\<C>");
    let changed = Sylink::parse_bytes(&file.to_bytes()).expect("what was changed is read");
    assert_eq!(changed.conf(), file.conf());
    assert_eq!(changed.preferred_group().as_deref(), Some("A & B\\<C>"));
}

/// A management server list.
pub(crate) fn list(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(list) = read(PublishedList::parse(text)) else { return };
    let written = list.to_xml();
    let again = PublishedList::parse(&written).expect("what was written is read");
    assert_eq!(again, list);
    assert_eq!(again.to_xml(), written);
    for location in &list.locations {
        let _ = list.conf_for(Some(&location.name));
    }
    let _ = list.conf_for(None).list.servers().count();
}

/// An index, and the answer to a registration.
pub(crate) fn index(input: &[u8]) {
    if let Some(registered) = Registered::from_body(input) {
        assert_eq!(Registered::from_body(&registered.to_body()), Some(registered));
    }
    let Some(index) = read(Index::parse(input)) else { return };
    let written = Bytes::from(index.to_xml());
    assert_eq!(Index::parse(&written).as_ref(), Ok(&index));
    let id: CommandId = "0A10000000000000000000000000000A".parse().expect("an identifier");
    let command = ClientCommand { id, kind: CommandKind::Restart };
    let with = Index::parse(&Index::with_commands(&written, &[command])).expect("what was added to is read");
    assert_eq!(with.commands.len(), index.commands.len() + 1);
}

/// A policy.
pub(crate) fn policy(input: &[u8]) {
    let Some(policy) = read(PolicyDocument::parse(input)) else { return };
    assert_eq!(PolicyDocument::parse(policy.to_xml().as_bytes()).as_ref(), Ok(&policy));
}

/// A request to the clients' port: the query in the first line, then the body. A query that begins with `!` is sealed with the site's
/// secret first, since no input has a valid seal by chance.
pub(crate) fn request(input: &[u8]) {
    static SITE: LazyLock<Site> = LazyLock::new(site);
    let (query, body) = input.split_at(input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len()));
    let (Ok(query), body) = (std::str::from_utf8(query), body.strip_prefix(b"\n").unwrap_or(body)) else {
        return;
    };
    let kcs: &Kcs = SITE.kcs();
    let query = query.strip_prefix('!').map_or_else(|| query.to_owned(), |fields| kcs.seal(fields));
    let body = Bytes::copy_from_slice(body);
    let request = match decode(&query, &body, kcs) {
        Ok(request) => request,
        Err(error) => {
            assert_eq!(manager::refusal(&error).status, 400);
            return is_short(&error);
        }
    };
    let written = encode(&request, kcs);
    let (_, query) = written.target.split_once('?').expect("a query");
    assert_eq!(decode(query, &written.body.unwrap_or_default(), kcs).as_ref(), Ok(&request));
    let _ = serde_json::from_slice::<OperationalState>(&body);
    let publication = SITE.publication(MANAGER).expect("the manager has a publication");
    let (answer, _) = manager::answer(publication, &request, &Clients);
    if let Answer::Now(response) = answer {
        assert!((200..600).contains(&response.status), "{response:?}");
    }
}

/// A table without clients.
struct Clients;

impl ClientTable for Clients {
    fn visit(
        &self,
        _: epm_protocol::id::AgentId,
        answer: impl FnOnce(Option<&RegisteredClient>) -> (Answer, Visit),
    ) -> (Answer, Visit) {
        answer(None)
    }
}
