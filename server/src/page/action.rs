//! Forms that call the control API, each with the commands that do the same.
//!
//! `page.js` sends them: a field whose name is in braces is part of the path, any other a field of the JSON body, and what is left
//! empty is left out. The commands are filled in as the fields are.

use std::borrow::Cow;

use maud::{Markup, html};

/// A call of the control API that changes something.
#[derive(Clone, Debug, Default)]
pub(super) struct Action {
    /// What the button says.
    pub(super) label: &'static str,
    /// What the call does, where the label does not say it.
    pub(super) about: &'static str,
    pub(super) method: &'static str,
    /// Path with `{NAME}` for the fields of these names.
    pub(super) path: &'static str,
    /// Body that the fields add to, as JSON; none where it is empty.
    pub(super) body: Cow<'static, str>,
    /// Command of `epm-lab` with `{NAME}` for fields; a part in brackets is left out if its field is empty. Empty if there
    /// is none.
    pub(super) command: Cow<'static, str>,
    /// What the button says that asks what the call would do, at the path with `/preview`; none if it is empty.
    pub(super) preview: &'static str,
    pub(super) fields: Vec<Field>,
}

/// A field of a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    /// `{NAME}` for a part of the path, or the dotted name of a field of the body.
    pub(super) name: String,
    pub(super) label: String,
    pub(super) kind: FieldKind,
    /// Value at first.
    pub(super) value: String,
    pub(super) hint: String,
}

/// What a field accepts, and its form in JSON.
#[derive(Clone, Debug, Default)]
pub(super) enum FieldKind {
    #[default]
    Text,
    /// A text that has to be given.
    Needed,
    Number,
    /// Any JSON; other words are a text.
    Json,
    /// One of these values, each with its title.
    Choice(Vec<(String, String)>),
    /// True or false, or what is in force.
    Flag,
    /// A value that is not shown.
    Fixed,
}

impl Field {
    pub(super) fn new(name: &str, label: &str, kind: FieldKind) -> Self {
        Self { name: name.to_owned(), label: label.to_owned(), kind, ..Self::default() }
    }

    pub(super) fn fixed(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), kind: FieldKind::Fixed, ..Self::default() }
    }

    /// A field for one of these names.
    pub(super) fn one_of<'a>(name: &str, label: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let choices = names.into_iter().map(|one| (one.to_owned(), one.to_owned())).collect();
        Self::new(name, label, FieldKind::Choice(choices))
    }

    pub(super) fn hint(self, hint: &str) -> Self {
        Self { hint: hint.to_owned(), ..self }
    }

    pub(super) fn value(self, value: &str) -> Self {
        Self { value: value.to_owned(), ..self }
    }

    fn form(&self) -> &'static str {
        match self.kind {
            FieldKind::Number => "number",
            FieldKind::Json => "json",
            FieldKind::Flag => "flag",
            _ => "text",
        }
    }

    fn view(&self) -> Markup {
        let Self { name, label, kind, value, hint } = self;
        let choice = |choices: &[(String, String)]| {
            html! {
                select name=(name) data-form=(self.form()) {
                    @for (one, title) in choices { option value=(one) selected[one == value] { (title) } }
                }
            }
        };
        let flag =
            [("", "as it is"), ("true", "on"), ("false", "off")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        html! {
            @match kind {
                FieldKind::Fixed => input type="hidden" name=(name) value=(value) data-form="text";,
                _ => label {
                    span { (label) }
                    @match kind {
                        FieldKind::Choice(choices) => (choice(choices)),
                        FieldKind::Flag => (choice(&flag)),
                        _ => input name=(name) value=(value) data-form=(self.form()) autocomplete="off"
                            required[matches!(kind, FieldKind::Needed)]
                            inputmode=[matches!(kind, FieldKind::Number).then_some("decimal")];,
                    }
                    @if !hint.is_empty() { small { (hint) } }
                },
            }
        }
    }
}

impl Action {
    pub(super) fn view(&self) -> Markup {
        html! {
            form.action data-method=(self.method) data-path=(self.path) data-body=(self.body) data-command=(self.command) {
                @if !self.about.is_empty() { p.about { (self.about) } }
                div.fields {
                    @for field in &self.fields { (field.view()) }
                    @if !self.preview.is_empty() { button name="" value="preview" disabled { (self.preview) } }
                    // Without the script a form would only load the page anew.
                    button disabled { (self.label) }
                }
                details.command {
                    summary { "As a command" }
                    pre { code { } }
                }
                output role="status" {}
            }
        }
    }
}
