//! `serve`: has the data folder, and answers until it is stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use model::entry::ActCode;
use serde_json::json;
use server::confine;
use server::vault::Vault;
use server::vault::host::VaultHost;
use server::{IntakeStart, Limits, Running, ServeOptions, TlsFiles};
use tokio::sync::watch;

use crate::args::Global;
use crate::dmz::{self, PullFrom};
use crate::failure::{DONE, Failure, IO, MISSING};
use crate::print::{self, Words};
use crate::socket::Listener;
use crate::{account, drill, files, owner, passphrase};

/// How often it is looked whether the intake must be told something: a new connection works after this long.
const UPKEEP_EVERY: Duration = Duration::from_millis(500);

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
    /// User of this machine as whom the process runs that faces the network, when `serve` runs as root. Without it:
    /// chancery-intake, if there is such a user.
    #[arg(long, value_name = "NAME")]
    pub intake_user: Option<String>,
    /// An intake on a host of its own, and its pin; again for several. None is then started here.
    #[arg(long = "pull", value_name = "HOST:PORT=PIN", requires = "identity", conflicts_with_all = ["intake_listen", "intake_user"])]
    pub pulls: Vec<PullFrom>,
    /// The key by which those intakes know this vault: made by `chancery identity`.
    #[arg(long, value_name = "FILE", requires = "pulls")]
    pub identity: Option<PathBuf>,
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

/// Opens the vault, listens, answers commands, and ends on SIGINT or SIGTERM.
///
/// # Errors
/// The vault does not open, or an address or the socket cannot be had.
pub fn serve(global: &Global, args: &ServeArgs) -> Result<u8, Failure> {
    logging();
    if args.role == ServeRole::Vault && !args.pulls.is_empty() {
        return Err(Failure::usage(
            "--pull needs a vault that listens: leave --role away",
        ));
    }
    confine::want_descriptors();
    let data = files::existing_data_folder(global)?;
    let secret = passphrase::ask(global)?;
    let vault = Arc::new(owner::open_patiently(&data, &secret)?);
    drop(secret);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(IO, format!("starting: {error}")))?;
    runtime.block_on(run(global, args, &data, &vault))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(vault);
    Ok(DONE)
}

async fn run(global: &Global, args: &ServeArgs, data: &Path, vault: &Arc<Vault>) -> Result<(), Failure> {
    // Before anybody is told that we run: a signal that comes right after must not kill.
    let stopped = stopped()?;
    let actor = owner::actor(rustix::process::getuid());
    vault.note_not_running()?;
    vault.act(
        ActCode::Started,
        &json!({ "version": env!("CARGO_PKG_VERSION"), "actor": actor }),
    )?;
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let running = if args.role == ServeRole::All {
        Some(listen(args, vault, stopping.clone()).await?)
    } else {
        None
    };
    let upkeep = tokio::spawn(upkeep(
        vault.clone(),
        running.as_ref().map(Running::refresher),
        stopping.clone(),
    ));
    let fetching = tokio::spawn(server::vault::fetches::run(vault.clone(), stopping.clone()));
    let archiving = tokio::spawn(server::vault::archive::run::run(vault.clone(), stopping.clone()));
    let forwarding = tokio::spawn(server::vault::forward::run(vault.clone(), stopping.clone()));
    let backing_up = tokio::spawn(server::vault::backups::run(vault.clone(), stopping.clone()));
    let scrubbing = tokio::spawn(server::vault::scrubs::run(vault.clone(), stopping.clone()));
    let anchoring = tokio::spawn(server::vault::anchors::run(vault.clone(), stopping.clone()));
    let alarming = tokio::spawn(server::vault::alarms::run(vault.clone(), stopping));
    let listener = Listener::start(data, vault.clone())?;
    announce(global, data, running.as_ref())?;
    stopped.await;
    let _ = stop.send(true);
    listener.close();
    if let Some(running) = running {
        running.ended().await;
    }
    let _ = upkeep.await;
    let _ = fetching.await;
    let _ = archiving.await;
    let _ = forwarding.await;
    let _ = backing_up.await;
    let _ = scrubbing.await;
    let _ = anchoring.await;
    let _ = alarming.await;
    // Once more when nothing comes any more: a backup of a server that was stopped lacks nothing.
    let last = vault.clone();
    let _ = tokio::task::spawn_blocking(move || last.follow_backups()).await;
    Ok(())
}

async fn listen(
    args: &ServeArgs,
    vault: &Arc<Vault>,
    mut stopping: watch::Receiver<bool>,
) -> Result<Running, Failure> {
    let mut arguments = vec!["intake".to_owned()];
    arguments.extend(drill::observable().then(|| "--observable".to_owned()));
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    if let Some((certificate, _)) = &tls
        && let Some(until) = server::listen::tls::holds_until(certificate)
    {
        vault.listens_until(until);
    }
    let options = ServeOptions {
        listen: args.listen,
        intake_listen: args.intake_listen,
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        intake: IntakeStart::Process {
            // Not by its name: the user of the intake may not reach it, and after an upgrade another build stands there.
            program: PathBuf::from("/proc/self/exe"),
            arguments,
            user: account::intake_user(args.intake_user.as_deref())?,
        },
        pulls: dmz::pulls(args)?,
        limits: Limits::default(),
    };
    let host = Arc::new(VaultHost::new(vault.clone()));
    let shutdown = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    server::serve(options, host, shutdown).await.map_err(|error| {
        let cause = std::error::Error::source(&error)
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        Failure::new(MISSING, format!("{error}{cause}"))
    })
}

/// Tells the intake of new connections and epochs.
async fn upkeep(
    vault: Arc<Vault>,
    refresh: Option<impl Fn() + Send + Sync + 'static>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut known = vault.changes();
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopping.changed() => return,
        }
        let asked = vault.clone();
        let Ok(changes) = tokio::task::spawn_blocking(move || asked.changes()).await else {
            return;
        };
        if changes != known {
            known = changes;
            if let Some(refresh) = &refresh {
                refresh();
            }
        }
    }
}

fn announce(global: &Global, data: &Path, running: Option<&Running>) -> Result<(), Failure> {
    let address = running.map(|running| running.local_addr);
    let intake = running.and_then(|running| running.intake_addr);
    if global.json {
        return print::json(&json!({ "serving": data, "listen": address, "intake_listen": intake }));
    }
    let mut words = Words::new();
    match address {
        Some(address) => words.line(&format!(
            "serving {} at {address}; stop with Ctrl-C",
            data.display()
        )),
        None => words.line(&format!("serving {}; stop with Ctrl-C", data.display())),
    };
    words.print()
}

/// Log lines go to standard error, one each, without content.
pub fn logging() {
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false);
    drop(lines.with_max_level(tracing::Level::INFO).try_init());
}

/// Ends when the process is told to stop.
///
/// # Errors
/// Signals cannot be listened for.
pub fn stopped() -> Result<impl Future<Output = ()>, Failure> {
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
