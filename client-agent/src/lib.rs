//! The emulated client.
