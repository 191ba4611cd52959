//! The command line. It refuses to decide anything: it asks the daemon, or without one the pinned maps, and prints.

mod args;
mod check;
mod failure;
mod table;
mod text;
mod trace;
mod watch;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::control::wire::{Request, Response, Status};
use crate::control::{self, ClientError};
use crate::{dataplane, engine, offline, telemetry};
use args::{Args, Command, Places};
use failure::Failure;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return not_understood(&error),
    };
    let json = args.command.is_json();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            failure.code()
        }
    }
}

/// Help and the version are no errors. What is wrong is told in the form that was asked for, as far as that can be seen.
fn not_understood(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json");
    if !error.use_stderr() || !json {
        error.exit();
    }
    let failure = Failure::arguments(error);
    failure.print(json);
    failure.code()
}

fn dispatch(args: &Args) -> Result<(), Failure> {
    let places = &args.places;
    match &args.command {
        Command::Run { config, log_format, packet_log } => {
            let log = telemetry::start(*log_format)
                .map_err(|error| Failure::failed(format!("cannot start a thread for the log: {error}")))?;
            let options = engine::Options {
                config: config.clone(),
                pin_dir: places.pin_dir.clone(),
                socket: places.socket.clone(),
                state_dir: places.state_dir.clone(),
                packet_log: *packet_log,
            };
            engine::run(&options).map_err(|error| check::start_refused(config, error).through(log))
        }
        Command::Check { config } => check::check(config),
        Command::Status { service, json, watch } => {
            let request = Request::Status { service: service.clone() };
            if *watch { watch::watch(places, &request, *json) } else { print_status(places, &request, *json) }
        }
        Command::Switch { service, backend, force, drain } => {
            let (service, backend, drain_ms) = (service.clone(), backend.clone(), drain.map(millis));
            steer(places, &Request::Switch { service, backend, force: *force, drain_ms })
        }
        Command::Failback { service, drain } => {
            steer(places, &Request::Failback { service: service.clone(), drain_ms: drain.map(millis) })
        }
        Command::Freeze { service, r#for } => {
            steer(places, &Request::Freeze { service: service.clone(), for_ms: r#for.map(millis) })
        }
        Command::Unfreeze { service } => steer(places, &Request::Unfreeze { service: service.clone() }),
        Command::Maint { service, backend, state } => {
            let on = *state == args::OnOff::On;
            steer(places, &Request::Maint { service: service.clone(), backend: backend.clone(), on })
        }
        Command::Trace(args) => trace::trace(places, args),
        Command::Detach => detach(places),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Asks the daemon; without one, the pinned maps.
fn ask(places: &Places, request: &Request) -> Result<Response, Failure> {
    match control::ask(&places.socket, request) {
        Ok(response) => Ok(response),
        Err(ClientError::Absent(_)) => offline::carry_out(&places.pin_dir, request).map_err(Failure::failed),
        Err(error) => Err(Failure::failed(error)),
    }
}

fn steer(places: &Places, request: &Request) -> Result<(), Failure> {
    match ask(places, request)? {
        Response::Done { message } => {
            say(&message);
            Ok(())
        }
        other => Err(Failure::response(other)),
    }
}

fn status(places: &Places, request: &Request) -> Result<Status, Failure> {
    match ask(places, request)? {
        Response::Status(status) => Ok(status),
        other => Err(Failure::response(other)),
    }
}

/// The status of one service, for a command that only reads: a daemon that does not answer is no hindrance.
fn status_of_one(places: &Places, service: &str) -> Result<Status, Failure> {
    let request = Request::Status { service: Some(service.to_owned()) };
    let (response, silent) = match control::ask(&places.socket, &request) {
        Ok(response) => (response, None),
        Err(error @ ClientError::Forbidden(_)) => return Err(Failure::failed(error)),
        Err(error) => {
            let response = offline::carry_out(&places.pin_dir, &request).map_err(Failure::failed)?;
            (response, matches!(error, ClientError::Silent { .. }).then_some(error))
        }
    };
    match response {
        Response::Status(mut status) => {
            if let Some(error) = silent {
                status.warnings = vec![error.to_string()];
            }
            Ok(status)
        }
        other => Err(Failure::response(other)),
    }
}

fn print_status(places: &Places, request: &Request, json: bool) -> Result<(), Failure> {
    let status = status(places, request)?;
    say(&render(&status, json)?);
    Ok(())
}

fn render(status: &Status, json: bool) -> Result<String, Failure> {
    if json { serde_json::to_string(status).map_err(Failure::failed) } else { Ok(table::status(status)) }
}

fn detach(places: &Places) -> Result<(), Failure> {
    let was_pinned = dataplane::is_pinned(&places.pin_dir);
    let vips = engine::detach(&places.pin_dir).map_err(Failure::start)?;
    for vip in vips {
        say(&format!("VIP {vip} removed"));
    }
    say(if was_pinned { "program and pins removed" } else { "nothing was pinned" });
    Ok(())
}

/// Prints a line. Whoever closed the pipe does not want to know, so this process ends quietly.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if written.is_err() {
        std::process::exit(0);
    }
}
