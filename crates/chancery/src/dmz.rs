//! An intake on a host of its own, and the vault that comes for what it sealed.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde_json::json;
use server::confine::Confinement;
use server::identity::{Identity, Pin};
use server::intake::front::{FrontError, FrontOptions};
use server::{Limits, Pull, TlsFiles};

use crate::args::Global;
use crate::failure::{BAD_DATA, CANNOT_WRITE, DONE, Failure, MISSING};
use crate::print::{self, Words};
use crate::serve::{self, ServeArgs};
use crate::{account, drill, passphrase};

/// Arguments of `intake`.
#[derive(Args)]
pub struct IntakeArgs {
    /// Where webhooks are taken.
    #[arg(long, value_name = "ADDR", requires_all = ["vault_listen", "identity", "vault_pins"])]
    pub listen: Option<SocketAddr>,
    /// Where the vault connects: an address that only the inner network reaches.
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub vault_listen: Option<SocketAddr>,
    /// The key of this host, made by `chancery identity`.
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub identity: Option<PathBuf>,
    /// The pin of the vault's key; twice while that key is exchanged.
    #[arg(long = "vault-pin", value_name = "PIN", requires = "listen")]
    pub vault_pins: Vec<Pin>,
    /// Certificate chain for senders, yours first (PEM). Without it: plain HTTP, for a proxy in front that ends TLS.
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "listen"])]
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// User of this machine as whom it goes on when it was started as root. Without it: chancery-intake, if there is such a
    /// user.
    #[arg(long, value_name = "NAME", requires = "listen")]
    pub intake_user: Option<String>,
    /// Memory stays readable for the user who runs it: for tests.
    #[arg(long, hide = true)]
    pub observable: bool,
}

/// Arguments of `identity`.
#[derive(Args)]
pub struct IdentityArgs {
    /// The file with the private key. Made when it is not there; only its pin is printed when it is.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `HOST:PORT=PIN`.
#[derive(Clone, Debug)]
pub struct PullFrom {
    address: String,
    pin: Pin,
}

impl FromStr for PullFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<PullFrom, String> {
        let (address, pin) = text.split_once('=').ok_or("write HOST:PORT=PIN")?;
        let port = address.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse::<u16>().ok();
            port.filter(|port| *port > 0 && !host.is_empty())
        });
        port.ok_or("write HOST:PORT=PIN, with the port of the intake's --vault-listen")?;
        let pin = pin.parse().map_err(|problem| format!("{problem}"))?;
        Ok(PullFrom {
            address: address.to_owned(),
            pin,
        })
    }
}

fn read(path: &Path) -> Result<Identity, Failure> {
    if !path.exists() {
        let text = format!(
            "{} is not there; make it with `chancery identity {0}`",
            path.display()
        );
        return Err(Failure::new(MISSING, text));
    }
    let text = passphrase::secret_file(path)?;
    Identity::read(&text).map_err(|problem| Failure::new(BAD_DATA, format!("{} {problem}", path.display())))
}

/// Makes a key, or reads it, and prints its pin.
///
/// # Errors
/// The file cannot be made or is none.
pub fn identity(global: &Global, args: &IdentityArgs) -> Result<u8, Failure> {
    let made = !args.file.exists();
    if made {
        let text = Identity::make().map_err(|problem| Failure::new(CANNOT_WRITE, problem.to_string()))?;
        store::folder::write_file(&args.file, text.as_bytes())?;
        store::folder::sync_name(&args.file)?;
    }
    let pin = read(&args.file)?.pin().to_string();
    if global.json {
        print::json(&json!({ "file": args.file, "pin": pin, "made": made }))?;
        return Ok(DONE);
    }
    let mut words = Words::new();
    words.line(&pin);
    words.print()?;
    Ok(DONE)
}

/// The intakes that `serve` is to come to.
///
/// # Errors
/// Its own key cannot be read.
pub fn pulls(args: &ServeArgs) -> Result<Vec<Pull>, Failure> {
    let Some(path) = args.identity.as_deref().filter(|_| !args.pulls.is_empty()) else {
        return Ok(Vec::new());
    };
    let identity = read(path)?;
    let pull = |from: &PullFrom| Pull {
        address: from.address.clone(),
        pin: from.pin,
        identity: identity.clone(),
    };
    Ok(args.pulls.iter().map(pull).collect())
}

/// The process that faces the network: on a host of its own, or started by `serve` with a socket as its standard input.
///
/// # Errors
/// It cannot listen, or standard input is no such socket.
pub fn intake(global: &Global, args: &IntakeArgs) -> Result<u8, Failure> {
    serve::logging();
    match (args.listen, args.vault_listen, &args.identity) {
        (Some(listen), Some(vault_listen), Some(identity)) => {
            front(global, args, (listen, vault_listen, identity))
        }
        _ => started_by_serve(args),
    }
}

fn started_by_serve(args: &IntakeArgs) -> Result<u8, Failure> {
    let control = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from);
    let failed = |error: std::io::Error| {
        Failure::new(
            MISSING,
            format!(
                "the intake: {error}; on a host of its own give --listen, --vault-listen, --identity, --vault-pin"
            ),
        )
    };
    // Who it runs as was decided when it was started.
    let confinement = Confinement {
        user: None,
        observable: args.observable,
    };
    server::intake::run(control.map_err(failed)?, &confinement).map_err(failed)?;
    Ok(DONE)
}

fn front(
    global: &Global,
    args: &IntakeArgs,
    (listen, vault_listen, identity): (SocketAddr, SocketAddr, &Path),
) -> Result<u8, Failure> {
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    let options = FrontOptions {
        listen,
        vault_listen,
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        identity: read(identity)?,
        pins: args.vault_pins.clone(),
        limits: Limits::default(),
    };
    let confinement = Confinement {
        user: account::intake_user(args.intake_user.as_deref())?,
        observable: args.observable || drill::observable(),
    };
    let json = global.json;
    let announce = |address: SocketAddr, vaults: SocketAddr| {
        let said = if json {
            print::json(&json!({ "listen": address, "vault_listen": vaults }))
        } else {
            let mut words = Words::new();
            words.line(&format!(
                "taking webhooks at {address}, waiting for the vault at {vaults}; stop with Ctrl-C"
            ));
            words.print()
        };
        said.map_err(|failure| std::io::Error::other(failure.message))
    };
    let shutdown = || serve::stopped().map_err(|failure| std::io::Error::other(failure.message));
    server::intake::front::run(options, &confinement, shutdown, announce).map_err(|error: FrontError| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Failure::new(MISSING, format!("{error}{}", cause.unwrap_or_default()))
    })?;
    Ok(DONE)
}
