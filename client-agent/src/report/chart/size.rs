//! The widths that drawings are made for.

/// The width that a drawing is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Size {
    /// A telephone.
    Narrow,
    /// A small window.
    Middle,
    /// A page, and paper.
    Wide,
}

impl Size {
    /// Each of them, with the class under which the page knows it.
    pub(in super::super) const ALL: [(Self, &str); 3] =
        [(Self::Narrow, "narrow"), (Self::Middle, "middle"), (Self::Wide, "wide")];

    /// In units of the drawing, which are pixels if it is shown as it was meant.
    pub(super) fn width(self) -> f64 {
        match self {
            Self::Narrow => 350.0,
            Self::Middle => 560.0,
            Self::Wide => 940.0,
        }
    }
}
