//! A question that is asked of many, over and over, until it is true of all.

/// The first of many that is behind: asked again and again, it is looked at first.
#[derive(Debug, Default)]
pub(super) struct FirstBehind(usize);

impl FirstBehind {
    /// Whether any of these is behind. They stay in order between the calls, or the call takes longer.
    pub(super) fn is_any<T>(&mut self, all: &[T], is_behind: impl Fn(&T) -> bool) -> bool {
        let (before, after) = all.split_at(self.0.min(all.len()));
        let found = after.iter().position(&is_behind).map(|place| before.len() + place);
        let found = found.or_else(|| before.iter().position(&is_behind));
        self.0 = found.unwrap_or(0);
        found.is_some()
    }
}
