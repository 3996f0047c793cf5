//! The source of a communications file that is imported on the clients of a part: a new export, or the file of the
//! installation, either of them edited by hand.

use std::sync::Arc;

use epm_protocol::id::DomainId;
use epm_protocol::site::CommandError;
use epm_protocol::sylink::{Sylink, SylinkHead};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The source of an imported communications file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SylinkSource {
    /// The group for which the console exports the file at that moment. If absent, the file is the old one with which
    /// the part was installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The location of that group for which the file is exported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Changes made to the file by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<SylinkEdit>,
}

/// Changes made to a communications file by hand; absent values stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SylinkEdit {
    /// The shared secret, 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kcs: Option<String>,
    /// The identifier of the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub domain: Option<DomainId>,
    /// The group that the client prefers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_group: Option<String>,
    /// The name of the management server list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
}

impl SylinkSource {
    /// Makes the file. `export` is what the console does, `installed` the file of the installation.
    ///
    /// # Errors
    ///
    /// When there is no such group or location, or the file would be invalid.
    pub fn file(
        &self,
        export: impl FnOnce(&str, Option<&str>) -> Result<Sylink, CommandError>,
        installed: &Arc<Sylink>,
    ) -> Result<Arc<Sylink>, CommandError> {
        let file = match &self.group {
            Some(group) => Arc::new(export(group, self.location.as_deref())?),
            None => Arc::clone(installed),
        };
        match &self.edited {
            Some(edit) => edit.apply(&file).map(Arc::new),
            None => Ok(file),
        }
    }
}

impl SylinkEdit {
    fn apply(&self, file: &Sylink) -> Result<Sylink, CommandError> {
        let mut conf = file.conf();
        if let Some(kcs) = &self.kcs {
            if kcs.len() != 32 || !kcs.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(CommandError::Invalid {
                    field: "kcs",
                    found: kcs.chars().take(80).collect(),
                    expected: "32 hexadecimal digits".to_owned(),
                });
            }
            conf.settings.kcs_hex.clone_from(kcs);
        }
        if let Some(list) = &self.list {
            conf.list.name.clone_from(list);
        }
        let head = SylinkHead {
            domain_id: self.domain.unwrap_or_else(|| file.domain_id()),
            name_space: "rpc".to_owned(), // [C S17]
            preferred_group: self
                .preferred_group
                .clone()
                .or_else(|| file.preferred_group())
                .unwrap_or_default(),
        };
        Ok(Sylink::compose(&head, &conf))
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario::Scenario;

    fn refusal(action: &str) -> String {
        let text = format!(
            "title = 't'\nsite = {{ managers = [{{ name = 'sepm-1' }}] }}\n\
             [[fleet]]\nname = 'desktop'\ncount = 1\nversion = '14.3'\n\
             [[step]]\ntitle = 's'\nfleet = [{action}]\n"
        );
        let checked = Scenario::parse(&text, "x.toml").and_then(|scenario| scenario.check("x.toml", &text));
        checked.map_or_else(|error| error.to_string(), |()| "sound".to_owned())
    }

    #[test]
    fn a_file_that_cannot_be_imported_is_refused_before_anything_is_played() {
        for (action, expected) in [
            ("{ import-sylink = { part = 'desktop', from = {} } }", "sound"),
            ("{ import-sylink = { part = 'desktop', from = { group = 'My Company' } } }", "sound"),
            ("{ update-package = { part = 'desktop' } }", "sound"),
            ("{ update-package = { part = 'desktop-1' } }", "sound"),
            ("{ switch-off = 'desktop-1' }", "sound"),
            ("{ switch-off = 'desktop-2' }", "there is no part or client \"desktop-2\""),
            ("{ switch-off = 'desktop-01' }", "there is no part or client"),
            ("{ move = { part = 'desktop-1' } }", "\"desktop-1\" is one client; expected a part"),
            (
                "{ update-package = { part = 'desktop' } }, { update-package = { part = 'desktop-1' } }",
                "expected a step for \"desktop-1\" alone",
            ),
            (
                "{ update-package = { part = 'desktop', group = 'My Compny' } }",
                "did you mean \"My Company\"?",
            ),
            ("{ update-package = { part = 'desktop', location = 'Nowhere' } }", "Nowhere"),
            ("{ import-sylink = { part = 'desktops', from = {} } }", "did you mean \"desktop\"?"),
            (
                "{ import-sylink = { part = 'desktop', from = { group = 'My Compny' } } }",
                "did you mean \"My Company\"?",
            ),
            (
                "{ import-sylink = { part = 'desktop', from = { edited = { kcs = '12' } } } }",
                "kcs is \"12\"; expected 32 hexadecimal digits",
            ),
        ] {
            let found = refusal(action);
            assert!(found.contains(expected), "{action}: {found}");
        }
    }
}
