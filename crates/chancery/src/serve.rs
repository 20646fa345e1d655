//! `serve`: has the data folder, and answers until it is stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use model::entry::ActCode;
use serde_json::json;

use crate::args::Global;
use crate::failure::{DONE, Failure, IO, MISSING};
use crate::print::{self, Words};
use crate::socket::Listener;
use crate::{files, owner, passphrase};

/// Arguments of `serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// Where the console, the API and webhooks are reached.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// An address of their own for webhooks.
    #[arg(long, value_name = "ADDR")]
    pub intake_listen: Option<SocketAddr>,
    /// Certificate chain, yours first (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Which parts run here.
    #[arg(long, value_enum, default_value = "all", value_name = "ROLE")]
    pub role: ServeRole,
}

/// Which parts run here.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServeRole {
    /// Everything.
    All,
    /// Without the process that faces the network.
    Vault,
}

/// Arguments of `intake`.
#[derive(Args)]
pub struct IntakeArgs {}

/// The process that faces the network.
///
/// # Errors
/// It is started by `serve` only.
pub fn intake(_global: &Global, _args: &IntakeArgs) -> Result<u8, Failure> {
    Err(Failure::new(
        MISSING,
        "the intake process is started by `chancery serve`",
    ))
}

/// Opens the vault, answers commands, and ends on SIGINT or SIGTERM.
///
/// # Errors
/// The vault does not open, or the socket cannot be made.
pub fn serve(global: &Global, _args: &ServeArgs) -> Result<u8, Failure> {
    let data = files::existing_data_folder(global)?;
    let secret = passphrase::ask(global)?;
    let vault = Arc::new(owner::open(&data, &secret)?);
    drop(secret);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(IO, format!("starting: {error}")))?;
    let _inside = runtime.enter();
    // Before anybody is told that we run: a signal that comes right after must not kill.
    let stopped = stopped()?;
    let listener = Listener::start(&data, vault.clone())?;
    let actor = owner::actor(rustix::process::getuid());
    vault.act(
        ActCode::Started,
        &json!({ "version": env!("CARGO_PKG_VERSION"), "actor": actor }),
    )?;
    if global.json {
        print::json(&json!({ "serving": data }))?;
    } else {
        let mut words = Words::new();
        words.line(&format!("serving {}; stop with Ctrl-C", data.display()));
        words.print()?;
    }
    runtime.block_on(stopped);
    listener.close();
    drop(vault);
    Ok(DONE)
}

/// Ends when the process is told to stop.
fn stopped() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Failure::new(IO, format!("listening for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        std::future::poll_fn(|context| {
            let stopped = interrupt.poll_recv(context).is_ready() || terminate.poll_recv(context).is_ready();
            if stopped {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    })
}
