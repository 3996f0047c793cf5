//! Writes the manual pages of `epm-lab` and `epm-agent`, one for each command, into a folder:
//! `cargo run --package epm-tests --bin man -- FOLDER DATE`.
//!
//! The text is that of the help. A program of the tests makes them, so that the programs themselves stay without clap_mangen.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Longest line of a command, in columns: 80 less the margins, the indentation and a backslash.
const COLUMNS: usize = 66;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [folder, date] = &arguments[..] else {
        return failed(
            "expected two arguments, the folder for the manual pages and their date, such as 2026-11-28",
        );
    };
    let (folder, date) = (Path::new(folder), date.to_string_lossy());
    let programs = [epm_server::cli::command(), epm_client_agent::cli::command()];
    let pages = programs.into_iter().flat_map(|program| pages(program, &date));
    let written = fs::create_dir_all(folder).and_then(|()| {
        pages.into_iter().try_for_each(|(name, page)| fs::write(folder.join(format!("{name}.1")), page?))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("cannot write manual pages into {}: {error}", folder.display())),
    }
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {why}");
    ExitCode::from(1)
}

/// Name and content of the page of each command of a program.
fn pages(command: Command, date: &str) -> Vec<(String, io::Result<String>)> {
    let program = command.get_name().to_owned();
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(command, &program, &program, &mut |name, command, parent| {
        let page = page(command, date, &program, &name, parent);
        pages.push((name, page));
    });
    pages
}

/// Hands over each command with the name of its page and that of its parent's page, which is its own for the program itself.
fn collect(command: Command, program: &str, parent: &str, each: &mut impl FnMut(String, Command, &str)) {
    let name = command.get_display_name().unwrap_or(program).to_owned();
    for one in command.get_subcommands().filter(|one| !one.is_hide_set()) {
        collect(one.clone(), program, &name, each);
    }
    each(name, command, parent);
}

fn page(mut command: Command, date: &str, program: &str, name: &str, parent: &str) -> io::Result<String> {
    let help = Help::of(&command.get_after_help().map(ToString::to_string).unwrap_or_default());
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let version = command.get_version().unwrap_or_default().to_owned();
    let has_commands = command.get_subcommands().any(|one| !one.is_hide_set());
    let command = command.override_usage(usage).subcommand_help_heading("COMMANDS");
    let man = Man::new(command)
        .title(name.to_uppercase())
        .date(date)
        .source(format!("{program} {version}"))
        .manual("epm-lab, a mock for tests");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    // Neither hyphens nor wide gaps in commands.
    Roff::new().control("nh", []).control("ad", ["l"]).to_writer(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    paragraphs(&help.notes, true, &mut out)?;
    if has_commands {
        man.render_subcommands_section(&mut out)?;
    }
    man.render_options_section(&mut out)?;
    if !help.examples.is_empty() {
        examples(&help.examples, &mut out)?;
    }
    if !help.codes.is_empty() {
        section("EXIT STATUS", &mut out)?;
        paragraphs(&help.codes, false, &mut out)?;
    }
    let other = match name {
        "epm-lab" => "epm-agent",
        "epm-agent" => "epm-lab",
        _ => parent,
    };
    section("SEE ALSO", &mut out)?;
    Roff::new().text([bold(other), roman("(1)")]).to_writer(&mut out)?;
    Ok(tidied(&String::from_utf8_lossy(&out)))
}

/// What stands below the options in the help of a command.
#[derive(Default)]
struct Help {
    /// Lines, indented as in the help.
    examples: Vec<String>,
    /// Paragraphs of the help that are neither examples nor exit codes.
    notes: Vec<String>,
    /// Paragraphs about exit codes, without their heading "Exit codes:".
    codes: Vec<String>,
}

impl Help {
    fn of(text: &str) -> Self {
        let mut help = Self::default();
        // A paragraph about exit codes begins with a line of its own, but not always after an empty one.
        for block in text.replace("\nExit codes:", "\n\nExit codes:").split("\n\n") {
            let lines: Vec<&str> = block.trim_matches('\n').lines().collect();
            match lines.first() {
                Some(&("Example:" | "Examples:")) => {
                    help.examples.extend(lines[1..].iter().map(|line| (*line).to_owned()));
                }
                Some(first) if first.starts_with("Exit codes:") => {
                    help.codes.push(lines.join("\n").trim_start_matches("Exit codes:").trim().to_owned());
                }
                Some(_) => help.notes.push(lines.join("\n")),
                None => {}
            }
        }
        help
    }
}

fn section(title: &str, out: &mut Vec<u8>) -> io::Result<()> {
    Roff::new().control("SH", [title]).to_writer(out)
}

/// Paragraphs, the first one too if text stands before it. A line that is indented stays a line.
fn paragraphs(all: &[String], after_text: bool, out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    for (number, one) in all.iter().enumerate() {
        if number > 0 || after_text {
            roff.control("PP", []);
        }
        for line in one.lines() {
            roff.text([roman(line)]);
        }
    }
    roff.to_writer(out)
}

/// Each example: its command in bold, and below it what it does, where the help says so, beside or below it.
fn examples(lines: &[String], out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    let mut last = None;
    for line in lines {
        let text = line.trim_start();
        let continues = matches!(last, Some(true));
        let is_command = continues || line.len() - text.len() <= 2;
        let (command, effect) = match text.split_once("   ") {
            Some((command, effect)) if is_command => (command, effect.trim()),
            _ if is_command => (text, ""),
            _ => ("", text),
        };
        if !command.is_empty() {
            if last.is_some() && !continues {
                roff.control("PP", []);
            }
            roff.control("nf", []);
            for (number, part) in wrapped(command).iter().enumerate() {
                let indent = if continues || number > 0 { "    " } else { "" };
                roff.text([bold(format!("{indent}{part}"))]);
            }
            roff.control("fi", []);
        }
        if !effect.is_empty() {
            roff.control("RS", ["4"]).text([roman(effect)]).control("RE", []);
        }
        last = Some(command.ends_with('\\'));
    }
    roff.to_writer(out)
}

/// A command in lines that fit, each but the last with a backslash at its end. An option and its value stay together.
fn wrapped(command: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in command.split(' ') {
        match parts.last_mut() {
            Some(last) if last.starts_with("--") && !last.contains(' ') && !word.starts_with('-') => {
                last.push_str(&format!(" {word}"));
            }
            _ => parts.push(word.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(last) if last.len() + part.len() < COLUMNS => last.push_str(&format!(" {part}")),
            Some(last) => {
                last.push_str(" \\");
                lines.push(part);
            }
            None => lines.push(part),
        }
    }
    lines
}

/// The page with one preamble, which each part of it begins with, without spaces at the ends of lines or empty lines between them.
fn tidied(page: &str) -> String {
    let preamble = [".ie \\n(.g .ds Aq \\(aq", ".el .ds Aq '"];
    let mut text = format!("{}\n{}\n", preamble[0], preamble[1]);
    let mut last = "";
    for line in page.lines().map(str::trim_end).filter(|line| !preamble.contains(line) && !line.is_empty()) {
        if line != ".br" || last != ".br" {
            text.push_str(line);
            text.push('\n');
        }
        last = line;
    }
    text
}
