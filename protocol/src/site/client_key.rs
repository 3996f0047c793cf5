//! The name by which a command names a client.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::AgentId;

/// A registered client: its identifier, or the name of its computer, in upper or lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKey {
    /// The client with this identifier.
    Id(AgentId),
    /// The client on the computer of this name.
    Name(String),
}

impl From<AgentId> for ClientKey {
    fn from(agent: AgentId) -> Self {
        Self::Id(agent)
    }
}

impl From<&str> for ClientKey {
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(agent) => agent.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Serialize for ClientKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClientKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.as_str().into())
    }
}

impl JsonSchema for ClientKey {
    fn schema_name() -> Cow<'static, str> {
        "ClientKey".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
