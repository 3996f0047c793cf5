//! What outlives a process of the REST API: administrators, settings that clients do not see, and tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_protocol::id::Guid;
use serde::{Deserialize, Serialize};

use super::auth::admin_store::{Administrator, Password, Role};
use super::auth::tokens::KeptSession;
use super::state::{Database, RestApi};

/// An administrator, with the password.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptAdministrator {
    id: Guid,
    login_name: String,
    full_name: String,
    email: String,
    admin_type: i32,
    password: String,
    authentication_method: i32,
}

/// Everything that has secrets: administrators, and the sessions of each manager.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptLogIns {
    administrators: Vec<KeptAdministrator>,
    sessions: BTreeMap<String, Vec<KeptSession>>,
}

impl KeptLogIns {
    pub(crate) fn of<'a>(database: &Database, apis: impl Iterator<Item = &'a Arc<RestApi>>) -> Self {
        let administrator = |one: Arc<Administrator>| KeptAdministrator {
            id: one.id,
            login_name: one.login_name.clone(),
            full_name: one.full_name.clone(),
            email: one.email.clone(),
            admin_type: one.role.admin_type(),
            password: one.password.text().to_owned(),
            authentication_method: one.authentication_method,
        };
        Self {
            administrators: database.administrators.all().into_iter().map(administrator).collect(),
            sessions: apis.map(|api| (api.manager.name.clone(), api.tokens.kept(api.restarts()))).collect(),
        }
    }

    /// Continues with these. The password of the administrator that every site starts with is that of this start.
    pub(crate) fn restore<'a>(self, database: &Database, apis: impl Iterator<Item = &'a Arc<RestApi>>) {
        database.administrators.change(|now| {
            let first = now.first().cloned();
            let kept = self.administrators.into_iter().filter_map(|one| {
                let is_first = first.as_ref().filter(|first| first.id == one.id);
                let password =
                    is_first.map_or_else(|| Password::new(&one.password), |first| first.password.clone());
                Some(Arc::new(Administrator {
                    id: one.id,
                    login_name: one.login_name,
                    full_name: one.full_name,
                    email: one.email,
                    role: Role::of_type(one.admin_type)?,
                    password,
                    authentication_method: one.authentication_method,
                }))
            });
            *now = kept.collect();
        });
        let mut sessions = self.sessions;
        for api in apis {
            let kept = sessions.remove(&api.manager.name).unwrap_or_default();
            api.tokens.restore(kept, &database.administrators);
        }
    }
}
