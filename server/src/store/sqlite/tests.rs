//! What becomes of a store that is damaged, or whose machine loses its power.

mod damage;
mod power;

use super::*;
