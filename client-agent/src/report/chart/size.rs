//! The widths of charts.

/// The width of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Size {
    /// For a phone.
    Narrow,
    /// For a small window.
    Middle,
    /// For a full page, and paper.
    Wide,
}

impl Size {
    /// All widths, each with its CSS class.
    pub(in super::super) const ALL: [(Self, &str); 3] =
        [(Self::Narrow, "narrow"), (Self::Middle, "middle"), (Self::Wide, "wide")];

    /// The width in units of the chart, which are pixels at its normal size.
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Narrow => 350.0,
            Self::Middle => 560.0,
            Self::Wide => 940.0,
        }
    }
}
