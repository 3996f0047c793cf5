//! What manager and client of epm-lab share: formats, the layers of trust, and the site itself.
//!
//! Everything here decides; nothing here waits. This crate has no socket, file, clock or randomness: time and
//! answers come in as arguments, wishes go out as data. Making a new private key is the one exception.
//!
//! | module | what |
//! |---|---|
//! | [`manager`] | what one manager does with a request, under faults or not: the same for both drivers |
//! | [`trust`] | the three layers by which a client trusts its manager, and a manager its client |
//! | [`fault`] | faults on demand: a rule and its verdict, which a driver carries out |
//! | [`site`] | what an operator sets, and what each manager publishes of it |
//! | [`heartbeat`] | the messages between client and manager |
//! | [`policy`] | serials, server lists, settings, the policy document |
//! | [`sylink`] | the client's communications file |
//! | [`installation`] | the text files of an installation's folder |
//! | [`assumption`] | undocumented behaviour of the product, one field for each guess |
//! | [`statement`] | the statements of the vendor's procedure, P1 to P20, by title |
//! | [`time`], [`id`], [`version`], [`name`], [`glob`], [`suggest`], [`plural`], [`excerpt`], [`plain`] | basic types and helpers |
//!
//! Imports go one way: `manager -> site -> heartbeat -> policy -> sylink -> {trust, id, time}`; `fault` stands beside
//! `site`, which does not know it, and below `manager`. A test enforces this.

pub mod assume;
pub mod assumption;
pub mod excerpt;
pub mod fault;
pub mod glob;
pub mod heartbeat;
pub mod id;
pub mod installation;
pub mod manager;
pub mod name;
pub mod plain;
pub mod plural;
pub mod policy;
pub mod site;
pub mod statement;
pub mod suggest;
pub mod sylink;
pub mod time;
pub mod trust;
pub mod version;
