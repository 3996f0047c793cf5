//! What becomes of a store that is damaged, or whose machine loses its power.

mod damage;
mod io_error;
mod power;

use super::*;
