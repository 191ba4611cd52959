//! `status --watch`: on a terminal a picture that is painted anew; into a pipe, a new block for each change.

use std::io::IsTerminal;
use std::time::Duration;

use fastswitch_screen::Screen;
use tokio::signal::unix::{SignalKind, signal};

use super::args::Places;
use super::failure::Failure;
use super::{render, say, status};
use crate::control::wire::Request;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Shows the status until the process is ended.
pub(super) fn watch(places: &Places, request: &Request, json: bool) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() && !json {
        on_screen(places, request)
    } else {
        plain(places, request, json)
    }
}

fn plain(places: &Places, request: &Request, json: bool) -> Result<(), Failure> {
    let mut last = String::new();
    loop {
        let text = picture(places, request, json)?;
        if text != last {
            say(&text);
            last = text;
        }
        std::thread::sleep(INTERVAL);
    }
}

fn on_screen(places: &Places, request: &Request) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let signal = runtime.block_on(async {
        let ended = ended()?;
        let screen = Screen::enter().map_err(Failure::failed)?;
        tokio::select! {
            signal = ended => Ok(signal),
            Err(failure) = paint(&screen, places, request) => Err(failure),
        }
    })?;
    // As the shell reports a process that a signal ended.
    std::process::exit(128 + signal)
}

/// Paints until that fails.
async fn paint(screen: &Screen, places: &Places, request: &Request) -> Result<(), Failure> {
    loop {
        let (places, request) = (places.clone(), request.clone());
        // On another thread: signals are not kept waiting by a daemon that does not answer.
        let picture = tokio::task::spawn_blocking(move || picture(&places, &request, false));
        let picture = picture.await.map_err(Failure::failed)??;
        screen.paint(&picture).map_err(Failure::failed)?;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What there is to see; an error that may pass is part of it.
fn picture(places: &Places, request: &Request, json: bool) -> Result<String, Failure> {
    match status(places, request) {
        Ok(status) => render(&status, json),
        Err(failure) if failure.is_usage() => Err(failure),
        Err(failure) => Ok(failure.to_string()),
    }
}

/// Gives the number of the signal that is to end this process: from here on they no longer do that by themselves.
fn ended() -> Result<impl Future<Output = i32>, Failure> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
    let listen = |kind| Ok((signal(kind).map_err(Failure::failed)?, kind));
    let mut signals = kinds.map(listen).into_iter().collect::<Result<Vec<_>, Failure>>()?;
    Ok(async move {
        let each = signals.iter_mut().map(|(signal, kind)| {
            Box::pin(async {
                signal.recv().await;
                kind.as_raw_value()
            })
        });
        futures_util::future::select_all(each).await.0
    })
}
