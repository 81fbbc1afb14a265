//! 仿真的命令行：打印种子与表格。
//!
//! Runs every scenario of [`gateway_tests::simulation`] and prints the seed and the table that
//! `docs/admission.md` shows. `--only TEXT` runs those whose name contains the text; `--write FILE`
//! puts the table into a document in place of the one between its markers.

use std::fs;
use std::process::ExitCode;

use gateway_tests::simulation::{MINUTES, SEED, Scenario, documented, run, table};

const HELP: &str = "simulate [--seed N] [--minutes M] [--only TEXT] [--write FILE]";

struct Options {
    seed: u64,
    minutes: u64,
    only: String,
    write: Vec<String>,
}

fn main() -> ExitCode {
    match parse().and_then(|options| execute(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn execute(options: &Options) -> Result<(), String> {
    let Options { seed, minutes, .. } = *options;
    let rows: Vec<_> = Scenario::all()
        .iter()
        .filter(|scenario| scenario.name.contains(&options.only))
        .flat_map(|scenario| run(scenario, seed, minutes))
        .collect();
    println!("seed {seed}, {minutes} windows of 60 s measured\n");
    print!("{}", table(&rows));
    for path in &options.write {
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let text = documented::renewed(&text, &documented::block(&rows, seed, minutes))
            .ok_or_else(|| format!("{path} has no markers"))?;
        fs::write(path, text).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn parse() -> Result<Options, String> {
    let mut options = Options {
        seed: SEED,
        minutes: MINUTES,
        only: String::new(),
        write: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} needs a value"))?;
        let number = || {
            value
                .parse()
                .map_err(|_| format!("{name}: {value} is no number"))
        };
        match name.as_str() {
            "--seed" => options.seed = number()?,
            "--minutes" => options.minutes = number()?.max(1),
            "--only" => options.only = value,
            "--write" => options.write.push(value),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}
