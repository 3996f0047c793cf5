//! One target of `epm-fuzz` under libFuzzer. `run.sh` sets `EPM_FUZZ_TARGET` while it compiles, so that each program contains the code
//! of its target alone, and its edges can be counted.

#![no_main]

use epm_fuzz::Run;

const RUN: Run = epm_fuzz::target(env!("EPM_FUZZ_TARGET")).run;

libfuzzer_sys::fuzz_target!(|input: &[u8]| RUN(input));
