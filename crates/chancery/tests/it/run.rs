//! Running the program in a folder of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;

use crate::disk::Control;

pub const PASSPHRASE: &str = "a passphrase of the tests";

/// A folder with a data folder `archive` and whatever a test puts there.
pub struct Place {
    folder: TempDir,
    /// What the environment of each run has besides.
    environment: Mutex<Vec<(String, String)>>,
}

/// What a run of the program ended with.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// Nothing in it but a file with the passphrase.
    pub fn new() -> Place {
        let place = Place {
            folder: tempfile::tempdir().unwrap(),
            environment: Mutex::default(),
        };
        place.secret("pass.txt", &format!("{PASSPHRASE}\n"));
        place
    }

    /// With a data folder in it.
    pub fn with_archive() -> Place {
        let place = Place::new();
        place.run(&["init", "--data", "archive"]).done();
        place
    }

    /// From here on each run has this in its environment.
    pub fn set_environment(&self, environment: Vec<(String, String)>) {
        *self.environment.lock().unwrap() = environment;
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A file that only its owner reads.
    pub fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, text);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// The program, in this folder, with a clean environment and no standard input.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(self.environment.lock().unwrap().iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Runs it with the passphrase file.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).args(["--passphrase-file", "pass.txt"]))
    }

    /// Runs it on the data folder with the passphrase file.
    pub fn on(&self, arguments: &[&str]) -> Ran {
        let mut all = arguments.to_vec();
        all.extend(["--data", "archive"]);
        self.run(&all)
    }

    /// Runs it without a passphrase.
    pub fn bare(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs it with these bytes on its standard input.
    pub fn fed(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Ran::from(child.wait_with_output().unwrap())
    }

    /// Starts `serve`, and answers once it serves.
    pub fn serve(&self) -> Serving {
        self.serve_with(&[])
    }

    /// Starts `serve` with more arguments, and answers once it serves.
    pub fn serve_with(&self, arguments: &[&str]) -> Serving {
        self.start_serve(arguments, &[]).expect("it says that it serves")
    }

    /// Starts `serve` with this environment; none when it ended before it served. What it logs is added to `serve.err`.
    pub fn try_serve(&self, environment: &[(&str, &str)]) -> Option<Serving> {
        self.start_serve(&[], environment)
    }

    fn start_serve(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Option<Serving> {
        let mut command = self.command(&[
            "serve",
            "--data",
            "archive",
            "--passphrase-file",
            "pass.txt",
            "--json",
        ]);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("serve.err"));
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Ok(said) = serde_json::from_str::<Value>(&line) else {
            end(&mut child, self.disk_control().as_ref());
            return None;
        };
        let address = said["listen"]
            .as_str()
            .unwrap_or_else(|| panic!("it does not listen: {line}"));
        let address = address.parse().unwrap();
        Some(Serving {
            child,
            out,
            said: line,
            address,
            disk: self.disk_control(),
        })
    }

    /// The switches of the disk that it runs on, when that is one of [`crate::disk`].
    fn disk_control(&self) -> Option<Control> {
        let environment = self.environment.lock().unwrap();
        let (_, path) = environment.iter().find(|(name, _)| name == "DISK_CONTROL")?;
        Some(Control::of(Path::new(path)))
    }

    /// Whether any file below `name` holds these bytes.
    pub fn holds(&self, name: &str, bytes: &[u8]) -> bool {
        let mut folders = vec![self.path(name)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() {
                    let content = std::fs::read(&path).unwrap();
                    if content.windows(bytes.len()).any(|window| window == bytes) {
                        return true;
                    }
                }
            }
        }
        false
    }
}

impl Ran {
    fn of(command: &mut Command) -> Ran {
        Ran::from(command.output().unwrap())
    }

    fn from(output: std::process::Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It ended well; its output.
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// It ended with this code and one line that says this.
    pub fn failed(self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains(says), "{:?} should say {says:?}", self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
    }

    /// It ended with this code.
    pub fn failed_with(self, code: i32) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
    }

    /// Whether it ended with 0: a killed program ends with no code at all.
    pub fn ended_well(&self) -> bool {
        self.code == 0
    }

    /// Its output is one JSON object, and nothing else was said.
    pub fn json(&self) -> Value {
        let value: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err));
        assert!(value.is_object());
        assert_eq!(self.err, "");
        value
    }
}

/// A running `serve`.
pub struct Serving {
    child: Child,
    out: BufReader<ChildStdout>,
    said: String,
    /// Where it listens.
    pub address: SocketAddr,
    disk: Option<Control>,
}

/// Kills a process, between two changes of its disk.
fn end(child: &mut Child, disk: Option<&Control>) {
    let mut kill = || {
        let _ = child.kill();
        let _ = child.wait();
    };
    match disk {
        Some(disk) => disk.still(kill),
        None => kill(),
    }
}

impl Serving {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processes that it started.
    pub fn children(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap() {
            let listed = task.unwrap().path().join("children");
            let children = std::fs::read_to_string(listed).unwrap_or_default();
            found.extend(children.split_whitespace().map(|id| id.parse::<i32>().unwrap()));
        }
        found
    }

    /// Asks it to stop; its exit code.
    pub fn stop(self) -> Option<i32> {
        self.stop_and_hear().0
    }

    /// Asks it to stop; its exit code and everything it said.
    pub fn stop_and_hear(mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let code = self.child.wait().unwrap().code();
        let mut said = std::mem::take(&mut self.said);
        self.out.read_to_string(&mut said).unwrap();
        (code, said)
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            end(&mut self.child, self.disk.as_ref());
        }
    }
}

/// Whether the folder has no file with this ending.
pub fn none_ends_with(folder: &Path, ending: &str) -> bool {
    std::fs::read_dir(folder)
        .unwrap()
        .all(|entry| !entry.unwrap().path().to_string_lossy().ends_with(ending))
}
