//! A running site below its ports and APIs.
//!
//! | file | owns |
//! |---|---|
//! | `state` | the whole: reads the site, applies commands, lets their effects show |
//! | `manager` | what one manager answers from, the certificates that it shows, its connections |
//! | `clients` | who is registered and was seen last, commands to clients, held requests |
//! | `context` | what the clients' port of one manager is handed |
//! | `faults` | the faults that are set, and what they say to connections and exchanges |
//! | `journal` | what managers remember of their visitors |
//! | `install`, `install_dir` | the folder of a manager, laid out as the product's |
//! | `connections`, `tls` | open connections, and how a certificate is served |
//!
//! [`state::SiteState`] is owned by `MockSite`. Ports and APIs are handed the parts that they use, never the whole.

pub(crate) mod client_commands;
pub(crate) mod clients;
pub(crate) mod connections;
pub(crate) mod context;
pub(crate) mod faults;
mod install;
pub(crate) mod install_dir;
pub(crate) mod journal;
pub(crate) mod manager;
pub(crate) mod service;
pub(crate) mod state;
pub(crate) mod tls;
