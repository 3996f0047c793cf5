//! The mock manager.
