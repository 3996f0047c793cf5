//! `--pcap`: a capture of the managers' ports, begun before anything is served and finished at the end.

use std::path::Path;
use std::sync::Arc;

use epm_protocol::plural::counted;

use crate::cli::io::{Failure, notice, warning};
use crate::runtime::capture::{Capture, CaptureError, Captured};

/// The capture of a command; none unless it is asked for.
pub(super) struct Pcap<'a>(Option<(&'a Path, Arc<Capture>)>);

impl<'a> Pcap<'a> {
    /// Begins to write the file.
    pub(super) fn begin(file: Option<&'a Path>) -> Result<Self, Failure> {
        let begun = |file| Capture::create(file).map(|capture| (file, capture));
        let begun = file.map(begun).transpose().map_err(|error| Failure::BadInput(error.to_string()))?;
        Ok(Self(begun))
    }

    pub(super) fn capture(&self) -> Option<&Arc<Capture>> {
        self.0.as_ref().map(|(_, capture)| capture)
    }

    /// Ends the file, and says what it has.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Some((file, capture)) = self.0 else { return Ok(()) };
        let finished = tokio::task::block_in_place(|| capture.finish());
        let Captured { packets, dropped } =
            finished.map_err(|error: CaptureError| Failure::Failed(error.to_string()))?;
        let packets = counted(usize::try_from(packets).unwrap_or(usize::MAX), "packet");
        notice(&format!("{}: {packets}, with the secrets that decrypt them\n", file.display()));
        if dropped > 0 {
            warning(&format!("{dropped} packets are missing in {}: the disk was too slow", file.display()));
        }
        Ok(())
    }
}
