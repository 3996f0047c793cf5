//! The list that a manager publishes and signs for a group: the `CommConf` of the group and those of its
//! locations.
//!
//! The form is the lab's own [U], built from the elements of the communications file: how the product sends a
//! changed list to its clients is not documented.

use crate::id::{DomainId, LocationId};

use super::attributes::{identifier, required};
use super::conf::CommConf;
use super::error::SylinkError;
use super::file;
use super::xml::{Document, Element};

const LOCATION: &str = "Location";

/// The attribute of the root element in the published sample of a communications file. [C S17]
const NAME_SPACE: &str = "rpc";

/// The location that every group has.
pub const DEFAULT_LOCATION: &str = "Default";

/// The communication settings for the clients of a group. Reading ignores unknown parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedList {
    /// The domain of the group.
    pub domain_id: DomainId,
    /// What applies where no location says otherwise.
    pub group: CommConf,
    /// The locations of the group.
    pub locations: Vec<LocationConf>,
}

/// The communication settings of a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationConf {
    /// The identifier of the location.
    pub id: LocationId,
    /// The name of the location, by which a client knows where it is.
    pub name: String,
    /// The location's own settings, if it has any. [C S16]
    pub conf: Option<CommConf>,
}

impl PublishedList {
    /// Reads a published list.
    ///
    /// # Errors
    /// When the text is not XML, or a part is missing or malformed.
    pub fn parse(text: &str) -> Result<Self, SylinkError> {
        let document = Document::parse(text)?;
        let root = document.root();
        file::check_root(root)?;
        Ok(Self {
            domain_id: DomainId(identifier(root, file::DOMAIN_ID)?),
            group: CommConf::from_element(file::conf(root)?)?,
            locations: root
                .children_named(LOCATION)
                .map(LocationConf::from_element)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Writes the list: always the same text for the same list, so that a signature of it holds.
    pub fn to_xml(&self) -> String {
        let mut root = file::root(self.domain_id, NAME_SPACE);
        root.push(self.group.to_element());
        for LocationConf { id, name, conf } in &self.locations {
            let mut location = Element::new(LOCATION).with("Id", &id.to_string()).with("Name", name);
            if let Some(conf) = conf {
                location.push(conf.to_element());
            }
            root.push(location);
        }
        Document::compose(root).to_xml()
    }

    /// Returns what applies at the location of this name: its own settings or the group's. A client at no location, or
    /// at one that the list does not know, is at the default one.
    pub fn conf_for(&self, location_name: Option<&str>) -> &CommConf {
        let named = |name: &str| self.locations.iter().find(|location| location.name == name);
        let location = location_name.and_then(named).or_else(|| named(DEFAULT_LOCATION));
        location.and_then(|location| location.conf.as_ref()).unwrap_or(&self.group)
    }
}

impl LocationConf {
    fn from_element(element: &Element) -> Result<Self, SylinkError> {
        Ok(Self {
            id: LocationId(identifier(element, "Id")?),
            name: required(element, "Name", "the location's name")?.to_owned(),
            conf: file::optional_conf(element)?.map(CommConf::from_element).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sylink::{CommunicationMode, Sylink};

    fn list() -> PublishedList {
        let file = Sylink::parse(include_str!("../../../fixtures/sylink/exported.xml")).unwrap();
        let id = |text: &str| LocationId(text.parse().unwrap());
        let mut own = file.conf();
        own.settings.mode = CommunicationMode::Push;
        own.list.name = "Boats & <ferries>".to_owned();
        PublishedList {
            domain_id: file.domain_id(),
            group: file.conf(),
            locations: vec![
                LocationConf {
                    id: id("0A10000000000000000000000000000A"),
                    name: "Office".into(),
                    conf: None,
                },
                LocationConf {
                    id: id("0B10000000000000000000000000000B"),
                    name: "Afloat".into(),
                    conf: Some(own),
                },
            ],
        }
    }

    #[test]
    fn a_list_is_read_back_the_same_and_written_the_same_again() {
        let list = list();
        let text = list.to_xml();
        assert_eq!(PublishedList::parse(&text).unwrap(), list);
        assert_eq!(PublishedList::parse(&text).unwrap().to_xml(), text);
        assert!(
            text.contains("\n  <Location Id=\"0A10000000000000000000000000000A\" Name=\"Office\"/>\n"),
            "{text}"
        );
        assert!(text.contains(
            "\n  <Location Id=\"0B10000000000000000000000000000B\" Name=\"Afloat\">\n    <CommConf>\n"
        ));
    }

    #[test]
    fn a_location_without_settings_of_its_own_has_those_of_the_group() {
        let list = list();
        assert_eq!(list.conf_for(Some("Afloat")).settings.mode, CommunicationMode::Push);
        for name in [None, Some("Office"), Some("Nowhere"), Some("afloat")] {
            assert_eq!(list.conf_for(name), &list.group, "{name:?}");
        }
    }

    #[test]
    fn a_client_at_no_location_or_at_an_unknown_one_is_at_the_default_one() {
        let mut list = list();
        let own = list.locations.iter().position(|location| location.conf.is_some()).unwrap();
        DEFAULT_LOCATION.clone_into(&mut list.locations[own].name);
        let own = list.locations[own].conf.clone().unwrap();
        for name in [None, Some("Nowhere"), Some(DEFAULT_LOCATION)] {
            assert_eq!(list.conf_for(name), &own, "{name:?}");
        }
        assert_eq!(list.conf_for(Some("Office")), &list.group);
    }

    #[test]
    fn what_is_not_understood_in_a_list_is_passed_over() {
        let list = list();
        let text =
            list.to_xml().replace("<Location ", "<!-- x --><Weather Rain='1'/>text<Location Tide=\"low\" ");
        assert_eq!(PublishedList::parse(&text).unwrap(), list);
    }

    #[test]
    fn a_broken_list_names_the_place() {
        let text = list().to_xml();
        let place = |text: &str| {
            let error = PublishedList::parse(text).unwrap_err();
            (error.line(), error.column(), error.to_string())
        };
        let line = 1 + text[..text.find("<Location").unwrap()].matches('\n').count();
        let (found, column, message) = place(&text.replacen(" Name=\"Office\"", "", 1));
        assert_eq!((found, column), (line, 3));
        assert!(
            message.contains("expected Name of <Location>: the location's name; found none"),
            "{message}"
        );
        let (found, column, message) = place(&text.replacen("Id=\"0A1", "Id=\"", 1));
        assert_eq!((found, column), (line, 13), "{message}");
        let (_, _, message) = place("<ServerSettings DomainId='4D1C07A9C00002150B5E2F68D3A97C14'/>");
        assert!(message.contains("expected <CommConf> in <ServerSettings>, found none"), "{message}");
        // The group has no settings of its own though a location has.
        let (start, end) = (text.find("<CommConf>").unwrap(), text.find("</CommConf>").unwrap());
        let (_, _, message) = place(&text.replacen(&text[start..end + "</CommConf>".len()], "", 1));
        assert!(message.contains("expected <CommConf> in <ServerSettings>, found none"), "{message}");
    }

    proptest! {
        #[test]
        fn any_list_is_read_back_the_same(
            group in crate::sylink::tests::conf(),
            own in proptest::option::of(crate::sylink::tests::conf()),
            name in "[ -~\r\n\té]{0,10}",
        ) {
            let mut list = list();
            list.group = group;
            list.locations[1].conf = own;
            list.locations[1].name = name;
            prop_assert_eq!(PublishedList::parse(&list.to_xml()).unwrap(), list);
        }
    }
}
