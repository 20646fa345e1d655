//! A disk that loses what was not made durable, fills up, and breaks.
//!
//! `shim.c` is preloaded into the program and writes down each change and each sync. [`Disk`] plays that journal back:
//! what was synced is certain; of everything else a throw of the dice decides, sector by sector and name by name, what a
//! power loss leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::crash::Dice;

/// What a disk writes at once.
const SECTOR_BYTES: usize = 512;

/// Compiles the shim, once for all tests.
fn shim() -> &'static Path {
    static MADE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("shim.c");
        std::fs::write(&source, include_str!("shim.c")).unwrap();
        let library = folder.path().join("shim.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
        let output = compiler.arg(&library).arg(&source).arg("-ldl").output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        (folder, library)
    });
    path
}

type FileId = usize;

/// What was done to a file since it was last durable.
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    File(FileId),
    Folder,
}

/// What was done to the names in a folder since it was last durable.
enum Naming {
    Add(String, Node),
    Remove(String),
    Rename(String, String),
}

#[derive(Default)]
struct Folder {
    durable: BTreeMap<String, Node>,
    pending: Vec<Naming>,
    /// With all that is pending: what the running system sees.
    seen: BTreeMap<String, Node>,
}

/// What a sync did, for comparing with another observer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    pub syncs: u64,
    pub writes: u64,
    pub cuts: u64,
    pub renames: u64,
    pub removals: u64,
    pub folders: u64,
}

/// A switch that the shim looks at, by its place in `struct control`.
#[derive(Clone, Copy)]
pub enum Switch {
    Room = 0,
    EveryWrite = 1,
    BreakSyncs = 2,
    Broken = 3,
    Again = 4,
    Lies = 6,
    Stopped = 7,
    Inside = 8,
}

/// The switches of a disk, shared with whoever runs on it.
pub struct Control(std::fs::File);

impl Control {
    pub fn of(path: &Path) -> Control {
        let options = std::fs::OpenOptions::new().read(true).write(true).clone();
        Control(options.open(path).unwrap())
    }

    fn set(&self, switch: Switch, value: i64) {
        self.0
            .write_all_at(&value.to_ne_bytes(), switch as u64 * 8)
            .unwrap();
    }

    fn get(&self, switch: Switch) -> i64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, switch as u64 * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }

    /// Does this while the disk stands still: a change and its record in the journal are never torn apart by a kill.
    pub fn still(&self, act: impl FnOnce()) {
        self.set(Switch::Stopped, 1);
        let patience = Instant::now() + Duration::from_secs(30);
        while self.get(Switch::Inside) != 0 {
            assert!(Instant::now() < patience, "a change of the disk does not end");
            std::thread::yield_now();
        }
        act();
        self.set(Switch::Stopped, 0);
    }
}

/// The part of the disk below `root`, from the moment of [`Disk::watch`].
pub struct Disk {
    root: PathBuf,
    /// Names directly below the root that belong to the program.
    own: Vec<String>,
    folder: TempDir,
    read: usize,
    files: Vec<File>,
    by_inode: BTreeMap<u64, FileId>,
    folders: BTreeMap<PathBuf, Folder>,
    pub counts: Counts,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn split(path: &str) -> (PathBuf, String) {
    let path = Path::new(path);
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    (path.parent().unwrap().to_owned(), name)
}

impl Disk {
    /// Takes what lies below `root` as durable. Of the names in `root` itself only `own` are the program's.
    pub fn watch(root: &Path, own: &[&str]) -> Disk {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("journal"), b"").unwrap();
        std::fs::write(folder.path().join("control"), [0; 72]).unwrap();
        let mut disk = Disk {
            root: root.canonicalize().unwrap(),
            own: own.iter().map(|name| (*name).to_owned()).collect(),
            folder,
            read: 0,
            files: Vec::new(),
            by_inode: BTreeMap::new(),
            folders: BTreeMap::new(),
            counts: Counts::default(),
        };
        disk.set(Switch::Room, -1);
        disk.take_as_durable();
        disk
    }

    /// What makes a program write its journal here.
    pub fn environment(&self) -> Vec<(String, String)> {
        let below = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD", shim().to_str().unwrap().to_owned()),
            ("DISK_ROOT", self.root.to_str().unwrap().to_owned()),
            ("DISK_JOURNAL", below("journal")),
            ("DISK_CONTROL", below("control")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Turns a switch; whoever runs sees it at once.
    pub fn set(&self, switch: Switch, value: i64) {
        Control::of(&self.folder.path().join("control")).set(switch, value);
    }

    /// How a switch stands.
    pub fn get(&self, switch: Switch) -> i64 {
        Control::of(&self.folder.path().join("control")).get(switch)
    }

    /// Forgets all that was pending: what is there now is durable.
    pub fn take_as_durable(&mut self) {
        self.files.clear();
        self.by_inode.clear();
        self.folders.clear();
        std::fs::write(self.folder.path().join("journal"), b"").unwrap();
        self.read = 0;
        self.load(&self.root.clone());
    }

    fn load(&mut self, folder: &Path) {
        let mut names = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_str().unwrap().to_owned();
            let about = entry.metadata().unwrap();
            if folder == self.root && !self.own.contains(&name) {
                continue;
            }
            if about.is_dir() {
                self.load(&entry.path());
                names.insert(name, Node::Folder);
            } else if about.is_file() {
                let durable = std::fs::read(entry.path()).unwrap();
                let id = self.new_file(about.ino(), durable);
                names.insert(name, Node::File(id));
            }
        }
        let known = Folder {
            durable: names.clone(),
            pending: Vec::new(),
            seen: names,
        };
        self.folders.insert(folder.to_owned(), known);
    }

    fn new_file(&mut self, inode: u64, durable: Vec<u8>) -> FileId {
        self.files.push(File {
            durable,
            pending: Vec::new(),
        });
        self.by_inode.insert(inode, self.files.len() - 1);
        self.files.len() - 1
    }

    /// Reads what was written down since the last time.
    pub fn read_journal(&mut self) {
        let journal = std::fs::read(self.folder.path().join("journal")).unwrap();
        while let Some(head) = journal.get(self.read..self.read + 40) {
            let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap()) as usize;
            let long = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
            let (length, kind) = (word(0), word(4) as u8);
            let (path, other, data) = (word(24), word(28), word(32));
            let Some(rest) = journal.get(self.read + 40..self.read + 4 + length) else {
                break;
            };
            assert_eq!(rest.len(), path + other + data);
            let (names, data) = rest.split_at(path + other);
            let (path, other) = names.split_at(path);
            self.apply(kind, long(8), long(16), &text(path), &text(other), data);
            self.read += 4 + length;
        }
    }

    fn apply(&mut self, kind: u8, inode: u64, number: u64, path: &str, other: &str, data: &[u8]) {
        match kind {
            b'C' => {
                let id = self.new_file(inode, Vec::new());
                self.name(path, |name| Naming::Add(name, Node::File(id)));
            }
            b'D' => {
                self.counts.folders += 1;
                self.folders.insert(path.into(), Folder::default());
                self.name(path, |name| Naming::Add(name, Node::Folder));
            }
            b'W' => {
                self.counts.writes += 1;
                self.file(inode, path)
                    .pending
                    .push(Change::Write(number, data.to_vec()));
            }
            b'T' => {
                self.counts.cuts += 1;
                self.file(inode, path).pending.push(Change::Cut(number));
            }
            b'F' => {
                self.counts.syncs += 1;
                let file = self.file(inode, path);
                for change in std::mem::take(&mut file.pending) {
                    file.durable = changed(std::mem::take(&mut file.durable), &change);
                }
            }
            b'G' => {
                self.counts.syncs += 1;
                let folder = self.folders.get_mut(Path::new(path)).unwrap();
                folder.pending.clear();
                folder.durable = folder.seen.clone();
            }
            b'E' => {
                self.counts.syncs += 1;
                // A folder whose sync failed keeps its names pending: they may still come through.
                if let Some(id) = self.by_inode.get(&inode) {
                    self.files[*id].pending.clear();
                }
            }
            b'R' => {
                self.counts.renames += 1;
                let ((from, old), (to, new)) = (split(path), split(other));
                assert_eq!(from, to, "a name that moves to another folder is not modelled");
                self.name(path, |_| Naming::Rename(old, new));
            }
            b'U' => {
                self.counts.removals += 1;
                self.name(path, Naming::Remove);
            }
            _ => panic!("{path}: {other} is not modelled"),
        }
    }

    fn file(&mut self, inode: u64, path: &str) -> &mut File {
        let id = self.by_inode.get(&inode);
        let id = *id.unwrap_or_else(|| panic!("{path} was never seen"));
        &mut self.files[id]
    }

    fn name(&mut self, path: &str, naming: impl FnOnce(String) -> Naming) {
        let (folder, name) = split(path);
        let folder = self
            .folders
            .get_mut(&folder)
            .unwrap_or_else(|| panic!("the folder of {path} was never seen"));
        let naming = naming(name);
        rename(&mut folder.seen, &naming);
        folder.pending.push(naming);
    }

    /// Leaves the disk as a power loss would. Nobody may be running on it.
    pub fn lose_power(&mut self, dice: &mut Dice) {
        self.read_journal();
        let mut after = BTreeMap::new();
        self.survive(&self.root, dice, &mut after);
        for name in &self.own {
            let path = self.root.join(name);
            if path.is_dir() {
                std::fs::remove_dir_all(&path).unwrap();
            } else {
                drop(std::fs::remove_file(&path));
            }
        }
        for (path, content) in after {
            match content {
                None => std::fs::create_dir_all(&path).unwrap(),
                Some(bytes) => {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(&path, bytes).unwrap();
                    private(&path);
                }
            }
        }
        self.take_as_durable();
    }

    /// What is left of a folder.
    fn survive(&self, path: &Path, dice: &mut Dice, after: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
        let folder = &self.folders[path];
        let mut names = folder.durable.clone();
        // File systems write names in order: how many came through decides.
        let through = match dice.below(3) {
            0 => 0,
            1 => folder.pending.len(),
            _ => dice.below(folder.pending.len() as u64 + 1) as usize,
        };
        for naming in &folder.pending[..through] {
            rename(&mut names, naming);
        }
        for (name, node) in names {
            let below = path.join(&name);
            match node {
                Node::Folder => {
                    after.insert(below.clone(), None);
                    self.survive(&below, dice, after);
                }
                // Made anew at the next start; nothing in it is relied on.
                Node::File(_) if name.ends_with("-shm") => {}
                Node::File(id) => drop(after.insert(below, Some(left_of(&self.files[id], dice)))),
            }
        }
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

fn rename(names: &mut BTreeMap<String, Node>, naming: &Naming) {
    match naming {
        Naming::Add(name, node) => drop(names.insert(name.clone(), *node)),
        Naming::Remove(name) => drop(names.remove(name)),
        Naming::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

fn changed(mut bytes: Vec<u8>, change: &Change) -> Vec<u8> {
    match change {
        Change::Write(offset, data) => {
            let (from, to) = (*offset as usize, *offset as usize + data.len());
            if bytes.len() < to {
                bytes.resize(to, 0);
            }
            bytes[from..to].copy_from_slice(data);
        }
        Change::Cut(size) => bytes.resize(*size as usize, 0),
    }
    bytes
}

/// What is left of a file: each sector is as it stood at some moment since the last sync, each at its own, and so is the
/// length.
fn left_of(file: &File, dice: &mut Dice) -> Vec<u8> {
    let all = file.pending.len() as u64;
    if all == 0 {
        return file.durable.clone();
    }
    let moment = |dice: &mut Dice| dice.below(all + 1) as usize;
    // Everything lost, everything kept, all of one moment, or each sector for itself.
    let (way, common) = (dice.below(4), moment(dice));
    let of_sector = |dice: &mut Dice| match way {
        0 => 0,
        1 => all as usize,
        2 => common,
        _ => match dice.below(3) {
            0 => 0,
            1 => all as usize,
            _ => moment(dice),
        },
    };
    let length_at = of_sector(dice);
    let mut sectors: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut bytes, mut length) = (file.durable.clone(), file.durable.len());
    for (n, change) in file.pending.iter().enumerate() {
        match change {
            Change::Cut(size) if n < length_at => {
                bytes.resize(*size as usize, 0);
                length = *size as usize;
            }
            Change::Cut(_) => {}
            Change::Write(offset, data) => {
                let (from, to) = (*offset as usize, *offset as usize + data.len());
                if n < length_at {
                    length = length.max(to);
                }
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                for sector in from / SECTOR_BYTES..=(to - 1) / SECTOR_BYTES {
                    let moment = *sectors.entry(sector).or_insert_with(|| of_sector(dice));
                    let begin = from.max(sector * SECTOR_BYTES);
                    let end = to.min((sector + 1) * SECTOR_BYTES);
                    if n < moment {
                        bytes[begin..end].copy_from_slice(&data[begin - from..end - from]);
                    }
                }
            }
        }
    }
    bytes.resize(length, 0);
    bytes
}

/// Paths that `strace -y` saw these calls on, below `root`, and that succeeded.
pub fn traced(trace: &str, root: &Path) -> Counts {
    let root = root.canonicalize().unwrap();
    let root = root.to_str().unwrap();
    let mut counts = Counts::default();
    let begun = |line: &str| line.contains("<unfinished ...>");
    let mut open_calls: BTreeSet<(String, String)> = BTreeSet::new();
    for line in trace.lines() {
        let (id, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        // A call that another thread interrupted is written in two lines; the first has the path, the second the result.
        let (call, concerns, done) = if let Some(resumed) = rest.strip_prefix("<... ") {
            let call = resumed.split(' ').next().unwrap().to_owned();
            let known = open_calls.remove(&(id.to_owned(), call.clone()));
            (call, known, true)
        } else {
            let call = rest.split('(').next().unwrap().to_owned();
            // Of a call on a descriptor its own path counts, and not what is written.
            let argument = rest[call.len() + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
            let concerns = argument
                .strip_prefix('<')
                .map_or(rest.contains(root), |path| path.starts_with(root));
            if begun(rest) && concerns {
                open_calls.insert((id.to_owned(), call.clone()));
            }
            (call, concerns, !begun(rest))
        };
        let result = rest.rsplit_once(" = ").map(|(_, result)| result.trim());
        if !concerns || !done || result.is_none_or(|result| result.starts_with('-')) {
            continue;
        }
        match call.as_str() {
            "fsync" | "fdatasync" | "sync_file_range" | "syncfs" => counts.syncs += 1,
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => counts.writes += 1,
            "ftruncate" | "truncate" => counts.cuts += 1,
            "rename" | "renameat" | "renameat2" => counts.renames += 1,
            "unlink" | "unlinkat" | "rmdir" => counts.removals += 1,
            "mkdir" | "mkdirat" => counts.folders += 1,
            other => panic!("a call that the shim does not know: {other}: {line}"),
        }
    }
    counts
}
