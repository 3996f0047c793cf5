//! Circles of files: files of one crate that import each other, directly or indirectly.
//!
//! A path leads to the file of the module in which it ends. What a module only re-exports (`pub use`) leads to where it
//! comes from, and a re-export is not an import.

use std::collections::{BTreeMap, BTreeSet};

use crate::scanner::{code, is_of_name, paths, shipped};
use crate::{File, is_rust, is_test};

/// The files of one crate's library, by the path of their module: `a::b`, and nothing for the root.
struct Library<'a> {
    files: BTreeMap<String, &'a File>,
    /// The origins of the names that a module re-exports.
    passed_on: BTreeMap<(String, String), String>,
}

/// The circles in a crate: the paths of the files of each, in order.
pub(crate) fn circles<'a>(files: &'a [File], sources: &str) -> Vec<BTreeSet<&'a str>> {
    let library = Library::of(files, sources);
    let imports: BTreeMap<&str, BTreeSet<String>> =
        library.files.keys().map(|module| (module.as_str(), library.imports(module))).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|module| (*module, reached_from(module, &imports))).collect();
    let mut circles = BTreeSet::new();
    for (module, there) in &reached {
        let circle = there.iter().filter(|other| reached[*other].contains(module));
        let circle: BTreeSet<&str> = circle.map(|module| library.files[*module].path.as_str()).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reached_from<'a>(module: &str, imports: &'a BTreeMap<&str, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
    while let Some(module) = next.pop() {
        for import in &imports[module] {
            if reached.insert(import.as_str()) {
                next.push(import);
            }
        }
    }
    reached
}

impl<'a> Library<'a> {
    fn of(files: &'a [File], sources: &str) -> Self {
        let mut library = Self { files: BTreeMap::new(), passed_on: BTreeMap::new() };
        for file in files.iter().filter(|file| is_rust(file) && !is_test(file)) {
            let Some(place) = file.path.strip_prefix(sources).and_then(|place| place.strip_suffix(".rs"))
            else {
                continue;
            };
            let place = place.strip_suffix("/mod").unwrap_or(place);
            if place != "main" {
                library
                    .files
                    .insert(if place == "lib" { String::new() } else { place.replace('/', "::") }, file);
            }
        }
        let for_tests: Vec<String> =
            library.files.keys().filter(|module| library.is_for_tests(module)).cloned().collect();
        library.files.retain(|module, _| !for_tests.contains(module));
        let modules: Vec<String> = library.files.keys().cloned().collect();
        for module in &modules {
            for (_, path) in library.paths(module).into_iter().filter(|(is_passed_on, _)| *is_passed_on) {
                if let Some((from, Some(name))) = library.resolve(module, &path) {
                    library.passed_on.insert((module.clone(), name), from);
                }
            }
        }
        library
    }

    /// Whether the module above declares it for tests only.
    fn is_for_tests(&self, module: &str) -> bool {
        let (above, name) = split(module);
        let declaration = format!("mod {name};");
        self.files.get(above).is_some_and(|file| {
            let code = code(&file.text);
            code.contains(&declaration) && !shipped(&code).contains(&declaration)
        })
    }

    /// Each path in a module, and whether it is re-exported.
    fn paths(&self, module: &str) -> Vec<(bool, String)> {
        let mut found = Vec::new();
        for statement in shipped(&code(&self.files[module].text)).split(';') {
            let (before, import) = split_at_use(statement).unwrap_or((statement, ""));
            let words = before.trim_end().trim_end_matches(|char| char != ' ' && char != '\n');
            let is_passed_on = !import.is_empty()
                && before.trim_end().strip_prefix(words).is_some_and(|word| word.starts_with("pub"));
            found.extend(paths(before).into_iter().map(|(_, path)| (false, path)));
            found.extend(paths(import).into_iter().map(|(_, path)| (is_passed_on, path)));
        }
        found
    }

    /// The modules that a module imports.
    fn imports(&self, module: &str) -> BTreeSet<String> {
        let mut imports = BTreeSet::new();
        for (is_passed_on, path) in self.paths(module) {
            let Some((mut target, name)) = self.resolve(module, &path) else { continue };
            if is_passed_on && name.as_deref() != Some("*") {
                continue;
            }
            let mut seen = BTreeSet::new();
            while let Some(from) = name.clone().and_then(|name| self.passed_on.get(&(target.clone(), name))) {
                if !seen.insert(target.clone()) {
                    break;
                }
                target.clone_from(from);
            }
            if target != module {
                imports.insert(target);
            }
        }
        imports
    }

    /// The module that a path leads to, and the next name in it; none if it leads to another crate.
    fn resolve(&self, module: &str, path: &str) -> Option<(String, Option<String>)> {
        // A name alone is a variable, or the `super` of `pub(super)`.
        let (first, _) = path.split_once("::")?;
        let mut at = module.to_owned();
        match first {
            "crate" => at.clear(),
            "self" | "super" => {}
            child if self.files.contains_key(&join(module, child)) => {}
            _ => return None,
        }
        for segment in path.split("::") {
            match segment {
                "crate" | "self" => {}
                "super" => at = split(&at).0.to_owned(),
                _ if self.files.contains_key(&join(&at, segment)) => at = join(&at, segment),
                name => return Some((at, Some(name.to_owned()))),
            }
        }
        Some((at, None))
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The module above, and the name in it.
fn split(module: &str) -> (&str, &str) {
    module.rsplit_once("::").unwrap_or(("", module))
}

/// The text before the word `use`, and the text after it.
fn split_at_use(statement: &str) -> Option<(&str, &str)> {
    let is_word = |at: &usize| {
        let (before, behind) = (statement[..*at].chars().next_back(), statement[at + 3..].chars().next());
        !before.is_some_and(is_of_name) && behind.is_some_and(char::is_whitespace)
    };
    let at = statement.match_indices("use").map(|(at, _)| at).find(is_word)?;
    Some((&statement[..at], &statement[at + 3..]))
}

#[test]
fn files_that_import_each_other_are_a_circle() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let files = [
        file("x/src/lib.rs", "pub mod a;\nmod b;\nmod c;\nmod d;\n#[cfg(test)]\nmod e;\npub use b::B;"),
        // Through the root, which only re-exports it.
        file("x/src/a/mod.rs", "mod deep;\nuse crate::{B, d::D};\npub(crate) use deep::Deep;"),
        file("x/src/a/deep.rs", "pub(super) fn f() -> crate::c::C {}"),
        file("x/src/b.rs", "use super::a::Deep;\npub struct B;"),
        file(
            "x/src/c.rs",
            "// use crate::a;\nuse std::fmt;\n#[cfg(test)]\nmod tests { use crate::a::deep; }",
        ),
        file("x/src/d.rs", "use crate::c::C;"),
        file("x/src/e.rs", "use crate::c::C;"),
        file("x/src/main.rs", "use crate::a;"),
    ];
    assert!(circles(&files, "x/src/").is_empty());
    let mut files = files.to_vec();
    files[4].text = "use crate::{a::{Deep}, d};".to_owned();
    files[5].text = String::new();
    assert_eq!(circles(&files, "x/src/"), [BTreeSet::from(["x/src/a/deep.rs", "x/src/c.rs"])]);
}
