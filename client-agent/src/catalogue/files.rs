//! The catalogue's files, compiled in.

use bytes::Bytes;
use epm_protocol::site::Command;
use epm_protocol::suggest::hint;

/// Builds a table of files with their names.
macro_rules! files {
    ($folder:literal: $($name:literal)+) => {
        &[$(($name, include_str!(concat!("failures/", $folder, $name)))),+]
    };
}

/// The files of all entries.
#[rustfmt::skip]
pub(super) const ENTRIES: &[(&str, &str)] = files!["":
    "F01.toml" "F02.toml" "F03.toml" "F04.toml" "F05.toml" "F06.toml"
    "F07.toml" "F08.toml" "F09.toml" "F10.toml" "F11.toml" "F12.toml"
    "F13.toml" "F14.toml" "F15.toml" "F16.toml" "F17.toml" "F18.toml"
    "F19.toml" "F20.toml" "F21.toml" "F22.toml" "F23.toml" "F24.toml"
    "F25.toml" "F26.toml" "F27.toml" "F28.toml" "F29.toml" "F30.toml"
    "F31.toml" "F32.toml" "F33.toml" "F34.toml" "F35.toml" "F36.toml"
    "F37.toml" "F38.toml" "F39.toml" "F40.toml" "F41.toml" "F42.toml"
    "F43.toml" "F44.toml" "F45.toml"
];

/// The files that commands of entries need. The keys are public and protect nothing.
const MATERIALS: &[(&str, &str)] = files!["files/":
    "ecdsa.crt" "ecdsa.key" "long.crt" "long.key" "not-a-key.txt" "rsa.crt" "rsa.key"
];

/// Reads the files that a command names.
pub(super) fn fill(command: &mut Command) -> Result<(), String> {
    for material in command.materials_mut() {
        let names = MATERIALS.iter().map(|(name, _)| *name);
        let found = MATERIALS.iter().find(|(name, _)| *name == material.file);
        let (_, text) = found.ok_or_else(|| {
            format!("the catalogue has no file {:?}{}", material.file, hint(&material.file, names))
        })?;
        material.content = Bytes::from_static(text.as_bytes());
    }
    Ok(())
}
