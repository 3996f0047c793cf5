//! The macro behind the table of fault kinds.

/// Makes the enum `FaultKind`, its names, layers and limits, and `KINDS` of the table of kinds.
macro_rules! declare_kinds {
    ($($layer:ident { $(
        $variant:ident = $name:literal $(| $alias:literal)*: $about:literal $({ $(
            $(#[$attribute:meta])* $field:ident: $type:ty = $default:expr $(, shown $shown:literal)?, $help:literal
            $(, also $foreign:literal $(* $factor:literal)? $(/ $divisor:literal)?)?
            $(, not $refused:pat => $what:literal, $expected:literal)?;
        )* })? => $virtual_time:expr;
    )* })*) => {
        /// A kind of fault with its parameters, written as `{ kind = "latency", delay = { .. } }`, or as the name alone
        /// if the defaults will do.
        #[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
        #[serde(tag = "kind", deny_unknown_fields)]
        #[schemars(transform = with_defaults)]
        #[expect(missing_docs, reason = "the table documents each kind and each parameter")]
        pub enum FaultKind {
            $($(#[serde(rename = $name)] $variant $({ $($(#[$attribute])* $field: $type),* })?,)*)*
        }

        impl FaultKind {
            /// The name of the kind.
            pub const fn name(&self) -> &'static str {
                match self { $($(Self::$variant { .. } => $name,)*)* }
            }

            /// The layer at which the kind acts.
            pub const fn layer(&self) -> Layer {
                match self { $($(Self::$variant { .. } => Layer::$layer,)*)* }
            }

            /// The first parameter that is out of range: its name, its value, and the allowed range.
            pub(super) fn out_of_range(&self) -> Option<(&'static str, String, &'static str)> {
                match self { $($(
                    $($($(Self::$variant { $field, .. } if matches!($field, $refused) => {
                        Some(($what, $field.to_string(), $expected))
                    })?)*)?
                )*)* _ => None }
            }
        }

        pub(super) const KINDS: &[KindInfo] = &[$($(KindInfo {
            name: $name,
            layer: Layer::$layer,
            about: $about,
            parameters: &[$($(ParameterInfo {
                name: stringify!($field),
                default: shown!($default $(, $shown)?),
                about: $help,
                foreign: &[$(ForeignName { name: $foreign, scale: (1 $(* $factor)?, 1 $(* $divisor)?) })?],
            },)*)?],
            aliases: &[$($alias),*],
            virtual_time: $virtual_time,
            read: |_table| Ok(FaultKind::$variant { $($($field: parameter(_table, stringify!($field), $default)?,)*)? }),
        },)*)*];
    };
}

/// The text of a default value.
macro_rules! shown {
    ($default:expr) => {
        stringify!($default)
    };
    ($default:expr, $shown:literal) => {
        $shown
    };
}

pub(super) use {declare_kinds, shown};
