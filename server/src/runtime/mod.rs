//! A running site, without its ports and APIs.
//!
//! | file | owns |
//! |---|---|
//! | `state` | the whole: reads the site, applies commands, publishes their effects |
//! | `manager` | publication, certificates and connections of one manager |
//! | `clients`, `held_requests` | registered clients, commands to clients; the requests that managers hold |
//! | `context` | what the clients' port of one manager needs |
//! | `faults` | active faults, and their effect on connections and exchanges |
//! | `changes` | changes of certificates, lists and switches, in order |
//! | `pauses`, `kept_pauses` | pauses between changes, from which a slow tool is told from one that waits; written with the change that ends one |
//! | `journal`, `transfer`, `redact`, `kept_journal` | what the managers recorded, with requests and responses, without secrets; its entries for a store |
//! | `install`, `install_dir` | the installation folder of a manager, laid out like the product's |
//! | `keeper`, `replayed` | the store of a site: changes recorded before their effects show, and made again from the log |
//! | `following`, `shared_site` | a site whose log several processes share: changes on its newest state, and those of others |
//! | `action_log` | what was done to a lab, from which a scenario is made |
//! | `updates` | named updates of certificates |
//! | `folder_lock` | the lock of a folder that one lab may have at a time |
//! | `descriptors` | file descriptors of the process: what they are for |
//! | `repeated` | events that the log tells at most once a minute |
//! | `failed_attempts` | failed attempts to log in, which slow down further ones |
//! | `capture` | the traffic of the managers' ports as a file for Wireshark |
//! | `counters` | what a manager has done, for the metrics |
//! | `connections`, `tls` | open connections, and TLS configurations |
//!
//! [`state::SiteState`] is owned by `MockSite`. Ports and APIs get the parts that they use, never the whole.

pub(crate) mod action_log;
pub(crate) mod capture;
pub(crate) mod changes;
pub(crate) mod client_commands;
pub(crate) mod clients;
pub(crate) mod connections;
pub(crate) mod context;
pub(crate) mod counters;
pub(crate) mod descriptors;
pub(crate) mod failed_attempts;
pub(crate) mod faults;
pub(crate) mod folder_lock;
pub(crate) mod following;
pub(crate) mod held_requests;
mod install;
pub(crate) mod install_dir;
pub(crate) mod journal;
pub(crate) mod keeper;
pub(crate) mod kept_journal;
pub(crate) mod kept_pauses;
pub(crate) mod manager;
pub(crate) mod pauses;
pub(crate) mod redact;
pub(crate) mod repeated;
pub(crate) mod replayed;
pub(crate) mod service;
pub(crate) mod shared_site;
pub(crate) mod state;
pub(crate) mod tls;
pub(crate) mod transfer;
pub(crate) mod updates;
