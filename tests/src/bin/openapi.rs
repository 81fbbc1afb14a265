//! OpenAPI 文档：打印，或写入文件。
//!
//! Prints the document that `gateway::openapi` generates, or writes it:
//! `cargo run -p gateway-tests --features openapi --bin openapi -- --write docs/openapi.json`.
//! Refuses to while something in it is not described.

use std::process::ExitCode;

use gateway::openapi::{Gaps, document, text};

fn main() -> ExitCode {
    let (_, gaps) = document();
    if gaps != Gaps::default() {
        eprintln!("error: the document is not complete: {gaps:#?}");
        return ExitCode::FAILURE;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print!("{}", text()),
        ["--write", path] => {
            if let Err(error) = std::fs::write(path, text()) {
                eprintln!("error: {path}: {error}");
                return ExitCode::FAILURE;
            }
        }
        _ => {
            eprintln!("usage: openapi [--write FILE]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
