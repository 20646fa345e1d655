//! `demo`: the main job in one command, done with the commands that a user would type.
//!
//! A temporary instance on loopback receives signed webhooks over HTTP and imports chat exports; one message is proved
//! alone, everything together; tampered copies are caught. The instance stays up to be looked at.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use clap::Args;
use serde_json::Value;

use crate::args::Global;
use crate::failure::{BAD_DATA, DOES_NOT_HOLD, DONE, Failure, IO, MISSING};

mod missing;
mod samples;
mod tamper;
mod webhooks;

use webhooks::Platform;

/// Arguments of `demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// Where the demo listens; another free port when this one is taken.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// End when everything was shown, instead of staying up.
    #[arg(long)]
    pub exit: bool,
}

/// Everything the demo knows while it runs.
struct Demo {
    program: PathBuf,
    verifier: PathBuf,
    folder: PathBuf,
    data: PathBuf,
    passphrase: PathBuf,
}

/// Runs it.
///
/// # Errors
/// What failed on the way.
pub fn demo(_global: &Global, args: &DemoArgs) -> Result<u8, Failure> {
    let demo = Demo::prepare()?;
    demo.say(
        "Chancery demo: a fictional clinic and its chats, on this machine only. Each `chancery` command below also\n\
         gets --data and --passphrase-file; they are left out here for brevity and stand in the lines at the end.",
    )?;
    demo.set_up()?;
    demo.lose()?;
    let (mut server, address) = demo.serve(args.listen)?;
    let shown = demo.show_everything(address);
    if args.exit || shown.is_err() {
        stop(&mut server);
        shown?;
        demo.say(&format!("\nEverything it made is in {}", demo.folder.display()))?;
        return Ok(DONE);
    }
    demo.last_words(address)?;
    // Ctrl-C reaches the server too: it ends, and then so do we.
    server
        .wait()
        .map_err(|error| Failure::new(IO, format!("waiting for the server: {error}")))?;
    Ok(DONE)
}

fn stop(server: &mut Child) {
    if let Some(pid) = i32::try_from(server.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let _ = server.wait();
}

fn failed(doing: &str) -> impl FnOnce(io::Error) -> Failure + '_ {
    move |error| Failure::new(IO, format!("{doing}: {error}"))
}

impl Demo {
    fn prepare() -> Result<Demo, Failure> {
        let program = std::env::current_exe().map_err(failed("finding myself"))?;
        let verifier = program.with_file_name("chancery-verify");
        if !verifier.exists() {
            let advice = "build it beside this program: cargo build --release -p chancery-verify";
            return Err(Failure::new(
                MISSING,
                format!("{} is missing; {advice}", verifier.display()),
            ));
        }
        let folder = tempfile::Builder::new().prefix("chancery-demo-").tempdir();
        let folder = folder.map_err(failed("making a temporary folder"))?.keep();
        let passphrase = folder.join("passphrase");
        let random: [u8; 16] = seal::suite::random().map_err(|error| Failure::new(IO, error.to_string()))?;
        write_secret(&passphrase, &seal::suite::hex(&random))?;
        Ok(Demo {
            program,
            verifier,
            data: folder.join("data"),
            folder,
            passphrase,
        })
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        writeln!(io::stdout().lock(), "{text}").map_err(failed("writing"))
    }

    /// A command as it would be typed, for showing.
    fn typed(&self, arguments: &[&str]) -> String {
        let quote = |argument: &&str| {
            if argument.contains([' ', '"', '&', '(']) {
                format!("'{argument}'")
            } else {
                (*argument).to_owned()
            }
        };
        arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
    }

    /// Runs `chancery` with these arguments and shows both; the first line stands for long output.
    fn run(&self, arguments: &[&str]) -> Result<Output, Failure> {
        self.say(&format!("\n$ chancery {}", self.typed(arguments)))?;
        let output = Command::new(&self.program)
            .args(arguments)
            .arg("--data")
            .arg(&self.data)
            .arg("--passphrase-file")
            .arg(&self.passphrase)
            .stdin(Stdio::null())
            .output()
            .map_err(failed("starting a command"))?;
        self.print(&output)?;
        Ok(output)
    }

    fn print(&self, output: &Output) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        for text in [&output.stdout, &output.stderr] {
            for line in String::from_utf8_lossy(text).lines() {
                writeln!(out, "  {line}").map_err(failed("writing"))?;
            }
        }
        Ok(())
    }

    /// As [`Demo::run`], and it must end well.
    fn must(&self, arguments: &[&str]) -> Result<Output, Failure> {
        let output = self.run(arguments)?;
        if output.status.success() {
            return Ok(output);
        }
        let code = output
            .status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(IO);
        Err(Failure::new(
            code,
            format!("`chancery {}` did not succeed", self.typed(arguments)),
        ))
    }

    /// A command's answer as JSON, not shown.
    fn ask(&self, arguments: &[&str]) -> Result<Vec<Value>, Failure> {
        let output = Command::new(&self.program)
            .args(arguments)
            .arg("--json")
            .arg("--data")
            .arg(&self.data)
            .arg("--passphrase-file")
            .arg(&self.passphrase)
            .stdin(Stdio::null())
            .output()
            .map_err(failed("starting a command"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    fn verify(&self, arguments: &[&str]) -> Result<Output, Failure> {
        self.say(&format!("\n$ chancery-verify {}", self.typed(arguments)))?;
        let output = Command::new(&self.verifier)
            .args(arguments)
            .current_dir(&self.folder)
            .output();
        let output = output.map_err(failed("starting the verifier"))?;
        self.print(&output)?;
        Ok(output)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn set_up(&self) -> Result<(), Failure> {
        self.say("\n1. A data folder, with its keys sealed by a passphrase.")?;
        self.must(&[
            "init",
            "--zone",
            "us",
            "--key-copy",
            &self.path("second-copy-of-keys"),
        ])?;
        self.say("\n2. A connection for the clinic's WhatsApp number. Its secrets come from files.")?;
        let platform = Platform::invented()?;
        write_secret(&self.folder.join("app-secret"), platform.app_secret())?;
        write_secret(&self.folder.join("verify-token"), platform.verify_token())?;
        let app_secret = format!("app-secret={}", self.path("app-secret"));
        let token = format!("verify-token={}", self.path("verify-token"));
        let add = [
            "connection",
            "add",
            "whatsapp-cloud",
            "clinic",
            "--secret",
            &app_secret,
            "--secret",
            &token,
        ];
        self.must(&add).map(drop)
    }

    /// Starts the server; another port is taken when the wanted one is in use.
    fn serve(&self, wanted: SocketAddr) -> Result<(Child, SocketAddr), Failure> {
        let free = std::net::TcpListener::bind(wanted).is_ok();
        let listen = if free {
            wanted
        } else {
            SocketAddr::new(wanted.ip(), 0)
        };
        self.say(&format!("\n4. The server.\n\n$ chancery serve --listen {listen}"))?;
        let mut child = Command::new(&self.program)
            .args(["serve", "--json", "--listen", &listen.to_string(), "--data"])
            .arg(&self.data)
            .arg("--passphrase-file")
            .arg(&self.passphrase)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed("starting the server"))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out)
                .read_line(&mut line)
                .map_err(failed("listening to the server"))?;
        }
        let said: Option<Value> = serde_json::from_str(&line).ok();
        let address = said
            .as_ref()
            .and_then(|said| said.get("listen")?.as_str()?.parse().ok());
        let Some(address) = address else {
            stop(&mut child);
            return Err(Failure::new(
                MISSING,
                "the server did not start; see the line above",
            ));
        };
        self.say(&format!(
            "  listening at http://localhost:{}",
            SocketAddr::port(&address)
        ))?;
        Ok((child, address))
    }

    fn show_everything(&self, address: SocketAddr) -> Result<(), Failure> {
        self.receive(address)?;
        self.import()?;
        let id = self.look()?;
        self.prove(&id)?;
        self.tamper()?;
        self.repair()
    }

    fn receive(&self, address: SocketAddr) -> Result<(), Failure> {
        self.say("\n5. WhatsApp's side: the handshake, then signed webhooks over HTTP. Each is answered once it is durable.")?;
        let app_secret = read_text(&self.folder.join("app-secret"))?;
        let platform = Platform::new(app_secret, read_text(&self.folder.join("verify-token"))?);
        let handshake = platform.handshake(address, "clinic")?;
        self.say(&format!("  GET  /in/clinic?hub.challenge=…   {handshake}"))?;
        let mut answered = 0;
        for body in samples::WEBHOOKS {
            let status = platform.deliver(address, "clinic", body)?;
            if status != 200 {
                return Err(Failure::new(
                    BAD_DATA,
                    format!("a webhook was answered with {status}"),
                ));
            }
            answered += 1;
        }
        self.say(&format!("  POST /in/clinic   {answered} deliveries, each 200"))?;
        let again = samples::WEBHOOKS
            .first()
            .map_or(Ok(0), |body| platform.deliver(address, "clinic", body))?;
        self.say(&format!(
            "  POST /in/clinic   the first one again, as platforms do: {again}; its message is there once"
        ))?;
        let forged = platform.forge(address, "clinic", samples::FORGED)?;
        self.say(&format!(
            "  POST /in/clinic   with a forged signature: {forged}; counted, nothing of it kept"
        ))?;
        if forged == 401 {
            Ok(())
        } else {
            Err(Failure::new(DOES_NOT_HOLD, "a forged delivery was not refused"))
        }
    }

    fn import(&self) -> Result<(), Failure> {
        self.say("\n6. Chat exports that employees hand in: Android (US), iPhone (German, zip with a photo), Android (Chinese).")?;
        for (name, bytes) in samples::EXPORTS {
            let path = self.folder.join(name);
            std::fs::write(&path, bytes).map_err(failed("writing a sample"))?;
            let path = path.display().to_string();
            self.must(&[
                "import",
                "whatsapp-export",
                &path,
                "--zone-of-phone",
                "America/New_York",
            ])?;
        }
        Ok(())
    }

    fn look(&self) -> Result<String, Failure> {
        self.say("\n7. Found again. Every search and every look is an entry in the same record.")?;
        self.must(&["search", "from:15550101001 tablets"])?;
        let found = self.ask(&["search", "from:15550101001 tablets"])?;
        let id = found
            .iter()
            .find_map(|line| line.get("id")?.as_str().map(str::to_owned));
        let id = id.ok_or_else(|| Failure::new(DOES_NOT_HOLD, "the sample message was not found"))?;
        self.must(&["show", &id])?;
        Ok(id)
    }

    fn prove(&self, id: &str) -> Result<(), Failure> {
        self.say("\n8. A checkpoint is handed to somebody outside; then one message alone and everything together are proved\n   by a program that needs neither this server nor its goodwill.")?;
        let (checkpoint, one, all) = (
            self.path("checkpoint"),
            self.path("one.zip"),
            self.path("all.zip"),
        );
        let key = self.data.join("zone.pub").display().to_string();
        self.must(&["checkpoint", "--out", &checkpoint])?;
        self.must(&["export", "--id", id, "--out", &one])?;
        self.must(&["export", "--all", "--out", &all])?;
        for bundle in [&one, &all] {
            let verified = self.verify(&[bundle, "--key", &key, "--checkpoint", &checkpoint])?;
            if !verified.status.success() {
                return Err(Failure::new(DOES_NOT_HOLD, "a genuine bundle did not verify"));
            }
        }
        self.must(&["verify", "--against", &checkpoint]).map(drop)
    }

    fn tamper(&self) -> Result<(), Failure> {
        self.say("\n9. Somebody with the disk in hand alters one byte: in a copy of the bundle, and in a copy of the data folder.")?;
        let bundle = self.folder.join("all-tampered.zip");
        tamper::copy_of_bundle(&self.folder.join("all.zip"), &bundle)?;
        let key = self.data.join("zone.pub").display().to_string();
        let caught = self.verify(&[&bundle.display().to_string(), "--key", &key])?;
        let store = self.folder.join("data-tampered");
        tamper::copy_of_store(&self.data, &store)?;
        self.say(&format!("\n$ chancery verify --data {}", store.display()))?;
        let verified = Command::new(&self.program)
            .arg("verify")
            .arg("--data")
            .arg(&store)
            .stdin(Stdio::null())
            .output()
            .map_err(failed("starting a command"))?;
        self.print(&verified)?;
        let both = caught.status.code() == Some(1) && verified.status.code() == Some(1);
        if both {
            self.say("\nBoth copies were caught, and what was altered is named. The genuine ones were proved above.")
        } else {
            Err(Failure::new(DOES_NOT_HOLD, "an altered copy was not caught"))
        }
    }

    fn last_words(&self, address: SocketAddr) -> Result<(), Failure> {
        let options = format!(
            "--data {} --passphrase-file {}",
            self.data.display(),
            self.passphrase.display()
        );
        let program = self.program.display();
        self.say(&format!(
            "\nThe instance stays up until Ctrl-C. Everything it made is in {folder}\n\
             \n\
             Look at it:        http://localhost:{port}\n\
             Passphrase file:   {passphrase}\n\
             \n\
             On your own files (copy and paste):\n\
             \x20 {program} parse whatsapp-export 'WhatsApp Chat with NAME.zip'\n\
             \x20 {program} import whatsapp-export 'WhatsApp Chat with NAME.zip' {options}\n\
             \x20 {program} search 'a word' {options}\n\
             \x20 {program} export --query 'a word' --out my-bundle.zip {options}\n\
             \x20 {verifier} my-bundle.zip --key {key}\n\
             \x20 {program} doctor {options}",
            folder = self.folder.display(),
            port = address.port(),
            passphrase = self.passphrase.display(),
            verifier = self.verifier.display(),
            key = self.data.join("zone.pub").display(),
        ))
    }
}

fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed("writing a secret"))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(failed("reading a secret"))
}
