//! 规模仿真的命令行：打印种子与表格，裁定，并与文档比较。
//!
//! Runs every plan of [`gateway_tests::simulation::scale`], prints the table that `docs/scaling.md`
//! shows, and fails where a run does not show what it must or a document shows another table.
//! `--write FILE` puts the table into a document, `--volumes FILE` those of volumes and prices, `--compare FILE` compares it, `--tenth` runs a tenth.

use std::fs;
use std::process::ExitCode;

use gateway_tests::simulation::scale::{Plan, SEED, Size, block, complaints, read, renewed, run};
use gateway_tests::volumes;

const HELP: &str = "scale [--seed N] [--minutes M] [--tenth yes] [--only TEXT] [--write FILE] [--compare FILE]\nscale --volumes FILE";

/// Windows that the documented table measures.
const MINUTES: u64 = 3;

struct Options {
    seed: u64,
    minutes: u64,
    size: Size,
    only: String,
    write: Vec<String>,
    compare: Vec<String>,
}

fn main() -> ExitCode {
    match parse().and_then(|options| execute(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn execute(options: &Options) -> Result<(), String> {
    let Options { seed, minutes, .. } = *options;
    println!("seed {seed}, {minutes} windows of 60 s measured");
    let plans: Vec<Plan> = Plan::all(options.size)
        .into_iter()
        .filter(|plan| plan.name.contains(&options.only))
        .collect();
    let rows: Vec<_> = plans.iter().map(|plan| run(plan, seed, minutes)).collect();
    let text = block(&rows, seed, minutes);
    println!("{text}");
    for path in &options.write {
        let document = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        let document = renewed(&document, &text).ok_or_else(|| format!("{path} has no markers"))?;
        fs::write(path, document).map_err(|error| format!("{path}: {error}"))?;
    }
    let found: Vec<String> = rows.iter().flat_map(complaints).collect();
    if !found.is_empty() {
        return Err(found.join("\n"));
    }
    for path in &options.compare {
        let document = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        if read(&document).as_ref() != Some(&text) {
            return Err(format!(
                "{path} shows another table; renew it with --write {path}"
            ));
        }
    }
    Ok(())
}

fn parse() -> Result<Options, String> {
    let mut options = Options {
        seed: SEED,
        minutes: MINUTES,
        size: Size::Whole,
        only: String::new(),
        write: Vec::new(),
        compare: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} needs a value\n{HELP}"))?;
        let number = || {
            value
                .parse()
                .map_err(|_| format!("{name}: {value} is no number\n{HELP}"))
        };
        match name.as_str() {
            "--seed" => options.seed = number()?,
            "--minutes" => options.minutes = number()?.max(1),
            "--tenth" => options.size = Size::Tenth,
            "--only" => options.only = value,
            "--volumes" => {
                let document =
                    fs::read_to_string(&value).map_err(|error| format!("{value}: {error}"))?;
                let document =
                    volumes::renewed(&document).ok_or_else(|| format!("{value} has no markers"))?;
                fs::write(&value, document).map_err(|error| format!("{value}: {error}"))?;
                options.only = String::from("nothing but the volumes");
            }
            "--write" => options.write.push(value),
            "--compare" => options.compare.push(value),
            _ => return Err(format!("unknown option {name}\n{HELP}")),
        }
    }
    Ok(options)
}
