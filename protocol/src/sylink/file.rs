//! What communications files and published lists have in common: the root element, and the position of `CommConf`.

use crate::excerpt::excerpt;
use crate::id::DomainId;

use super::conf::CommConf;
use super::error::SylinkError;
use super::xml::{Element, Position};

/// The name of the root element. [C S17]
const ROOT: &str = "ServerSettings";

/// The attribute of the root element that names the domain. [C S17]
pub(super) const DOMAIN_ID: &str = "DomainId";

pub(super) fn root(domain_id: DomainId, name_space: &str) -> Element {
    Element::new(ROOT).with(DOMAIN_ID, &domain_id.to_string()).with("NameSpace", name_space)
}

pub(super) fn check_root(root: &Element) -> Result<(), SylinkError> {
    if root.name() == ROOT {
        return Ok(());
    }
    let Position { line, column } = root.position();
    Err(SylinkError::WrongRoot { line, column, expected: ROOT, found: excerpt(root.name()) })
}

pub(super) fn conf(parent: &Element) -> Result<&Element, SylinkError> {
    optional_conf(parent)?.ok_or_else(|| SylinkError::missing_element(parent, CommConf::ELEMENT))
}

pub(super) fn optional_conf(parent: &Element) -> Result<Option<&Element>, SylinkError> {
    let mut all = parent.children_named(CommConf::ELEMENT);
    let first = all.next();
    match all.next() {
        Some(second) => Err(SylinkError::repeated_element(parent, CommConf::ELEMENT, second)),
        None => Ok(first),
    }
}
