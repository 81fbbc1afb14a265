//! 演示上游的命令行。
//!
//! Starts one [`gateway_tests::provider::Provider`], prints the line
//! `ready http://127.0.0.1:PORT` and nothing else on standard output, and stops
//! on SIGINT or SIGTERM. What each option means is said by `--help`.

use std::process::ExitCode;

use gateway_tests::provider::{Limit, Options, Provider, WINDOW};
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "demo-provider: a small server, compatible with OpenAI and Anthropic

  --port N            port on 127.0.0.1, 0 = any free one (default 0)
  --models A,B        models that GET /models lists (default demo-small,demo-large)
  --rpm N             own limit: at most N requests in any 60 s, then 429 with Retry-After
  --bucket N          own limit: N requests at once, and N more evenly over each 60 s
  --chunks N          words of an answer, one token each (default 8)
  --header-delay-ms N wait before the response headers
  --chunk-delay-ms N  wait before each word of a stream
  --behaviour JSON    any default that the request field `sluice_demo` can set

Control: GET|DELETE /__demo/ledger, PUT /__demo/behaviour, POST /__demo/gates/NAME?open=N|all";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("demo-provider: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<(), String> {
    let options = parse(arguments)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let provider = Provider::start_with(options).map_err(|error| error.to_string())?;
    println!("ready {}", provider.base_url());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest
            .next()
            .ok_or_else(|| format!("{name} needs a value (see --help)"))?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{name}: {value} is not a whole number"))
        };
        let requests = || {
            u32::try_from(number()?).map_err(|_| format!("{name}: {value} requests are too many"))
        };
        match name.as_str() {
            "--port" => {
                options.port = u16::try_from(number()?)
                    .map_err(|_| format!("{name}: {value} is not a port"))?;
            }
            "--models" => options.models = value.split(',').map(str::to_owned).collect(),
            "--rpm" => {
                options.limit = Some(Limit::Sliding {
                    requests: requests()?,
                    window: WINDOW,
                });
            }
            "--bucket" => {
                options.limit = Some(Limit::TokenBucket {
                    requests: requests()?,
                    window: WINDOW,
                });
            }
            "--chunks" => options.behaviour.chunks = Some(number()? as usize),
            "--header-delay-ms" => options.behaviour.header_delay_ms = Some(number()?),
            "--chunk-delay-ms" => options.behaviour.chunk_delay_ms = Some(number()?),
            "--behaviour" => {
                let given =
                    serde_json::from_str(value).map_err(|error| format!("{name}: {error}"))?;
                options.behaviour = options.behaviour.overridden_by(given);
            }
            _ => return Err(format!("{name} is no option (see --help)")),
        }
    }
    Ok(options)
}
