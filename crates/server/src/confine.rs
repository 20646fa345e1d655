//! What a process gives up before it touches anything from outside.
//!
//! Two steps, because some of it holds for the calling thread and what it starts later, and some for what runs already:
//! [`begin`] before any thread is started, [`close`] once all are there and nothing will ever be opened again.
//! What a kernel lacks is left out and told, never a reason not to run.

use std::collections::BTreeMap;
use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope,
};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Uid, getrlimit, set_dumpable_behavior, setrlimit,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use serde::{Deserialize, Serialize};

/// Descriptors that an intake may have open: its connections, and as many again while they come and go.
const DESCRIPTORS_MAX: u64 = 4096;
/// Address space of an intake: bodies in flight are bounded at 64 MiB, but each thread's heap reserves as much as that
/// without using it.
const ADDRESS_SPACE_BYTES_MAX: u64 = 4 << 30;
/// Descriptors that the vault would like to have: each connection over TLS needs two, and segments are kept open.
const VAULT_DESCRIPTORS: u64 = 8192;

/// As whom, and how strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Confinement {
    /// User and group to become. Nothing: stay who we are.
    pub user: Option<User>,
    /// Leaves the process's memory readable for its own user. For tests that look into it.
    pub observable: bool,
}

/// A user and a group of the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
}

/// How much of something is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// All that was asked for.
    Full,
    /// As much as an older kernel knows.
    Part,
    /// Nothing.
    #[default]
    None,
}

/// What a process gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Confined {
    /// As whom it runs.
    pub user: u32,
    /// It cannot gain privileges by starting a program.
    pub no_new_privileges: bool,
    /// It leaves no core file, and its memory is nobody's to read but root's.
    pub no_dumps: bool,
    /// Access to files, to new connections and to other processes is cut off by Landlock.
    pub landlock: Extent,
    /// System calls are limited to a list by seccomp.
    pub system_calls: bool,
}

/// Keeps this process's memory out of core files and away from other processes of the same user, for good. For whoever
/// holds keys.
///
/// # Errors
/// The kernel refuses.
pub fn guard_memory(observable: bool) -> io::Result<()> {
    setrlimit(Resource::Core, limit(0))?;
    rustix::thread::set_no_new_privs(true)?;
    if !observable {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

/// Raises the number of descriptors that this process may have, as far as it is allowed.
pub fn want_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(VAULT_DESCRIPTORS, |maximum| maximum.min(VAULT_DESCRIPTORS));
    if current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum,
        };
        // With fewer it works too, for fewer connections at once.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

fn limit(value: u64) -> Rlimit {
    Rlimit {
        current: Some(value),
        maximum: Some(value),
    }
}

/// Lowers a limit to `value`, never raises it.
fn lower(resource: Resource, value: u64) -> io::Result<()> {
    let allowed = getrlimit(resource)
        .maximum
        .map_or(value, |maximum| maximum.min(value));
    Ok(setrlimit(resource, limit(allowed))?)
}

/// The first step of an intake: another user, no privileges, no dumps, no files. Only the calling thread and those it
/// starts later are concerned, so it must be the only one.
///
/// # Errors
/// The user cannot be changed, or the kernel refuses what every kernel can.
pub fn begin(how: &Confinement) -> io::Result<Confined> {
    if let Some(User { user, group }) = how.user {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)?;
    }
    // After the change of user, which sets it anew.
    guard_memory(how.observable)?;
    lower(Resource::Nofile, DESCRIPTORS_MAX)?;
    lower(Resource::As, ADDRESS_SPACE_BYTES_MAX)?;
    Ok(Confined {
        user: rustix::process::geteuid().as_raw(),
        no_new_privileges: true,
        no_dumps: !how.observable,
        landlock: no_files(),
        system_calls: false,
    })
}

/// No file, no new TCP connection, no signal to others; what is open stays usable.
fn no_files() -> Extent {
    // Version 6 (Linux 6.12) is all that is needed here; older kernels know less, and as much as they know is used.
    let abi = ABI::V6;
    let restricted = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    match restricted.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => Extent::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Extent::Part,
        Ok(RulesetStatus::NotEnforced) => Extent::None,
        Err(error) => {
            tracing::warn!(%error, "Landlock could not be used");
            Extent::None
        }
    }
}

/// The second step of an intake: from here on only what serving open connections needs. Holds for all threads.
pub fn close(confined: &mut Confined) {
    match filter().map(|program| seccompiler::apply_filter_all_threads(&program)) {
        Some(Ok(())) => confined.system_calls = true,
        Some(Err(error)) => tracing::warn!(%error, "system calls could not be limited"),
        None => tracing::warn!("system calls are not limited on this kind of processor"),
    }
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<TargetArch> = Some(TargetArch::x86_64);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<TargetArch> = Some(TargetArch::aarch64);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<TargetArch> = None;

/// Calls that may be made with any arguments: reading, writing and closing what is open, taking connections from a
/// socket that listens, memory, waiting, ending. No call that makes a descriptor out of a name or an address, no thread
/// and no process.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

/// Calls of which one argument must be so.
fn conditions() -> Vec<(i64, u8, SeccompCmpOp, u64)> {
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    let own = u64::from(std::process::id());
    vec![
        // Memory, but never memory that can be executed.
        (libc::SYS_mmap, 2, SeccompCmpOp::MaskedEq(executable), 0),
        (libc::SYS_mprotect, 2, SeccompCmpOp::MaskedEq(executable), 0),
        // Whether a socket blocks.
        (libc::SYS_ioctl, 1, SeccompCmpOp::Eq, libc::FIONBIO),
        // Threads that were just started give themselves a name.
        (
            libc::SYS_prctl,
            0,
            SeccompCmpOp::Eq,
            u64::from(libc::PR_SET_NAME.unsigned_abs()),
        ),
        // `abort`.
        (libc::SYS_tgkill, 0, SeccompCmpOp::Eq, own),
    ]
}

fn filter() -> Option<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    for (call, argument, operator, value) in conditions() {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).ok()?;
        rules.insert(call, vec![SeccompRule::new(vec![condition]).ok()?]);
    }
    // Refused, not killed: a library that asks in vain goes on; who breaks in gets nothing either way.
    let refuse = SeccompAction::Errno(u32::try_from(libc::EPERM).ok()?);
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, ARCHITECTURE?)
        .ok()?
        .try_into()
        .ok()
}

impl Confined {
    /// One sentence for people: as whom it runs, what is in force and what this kernel lacks.
    pub fn sentence(&self, vault_user: u32) -> String {
        let user = match self.user {
            0 => {
                "runs as root: make a user for it, as `useradd --system chancery-intake`, or name one with --intake-user"
            }
            own if own == vault_user => "runs as the user of the vault, which cannot change users",
            _ => "runs as a user of its own",
        };
        let landlock = match self.landlock {
            Extent::Full => "reaches no file and no address",
            Extent::Part => "reaches no file; this kernel's Landlock is an older one",
            Extent::None => "is not kept from files by Landlock, which this kernel lacks",
        };
        let calls = if self.system_calls {
            "system calls are limited"
        } else {
            "system calls are not limited: this kernel lacks seccomp"
        };
        format!("{user}; {landlock}; {calls}")
    }

    /// Whether there is something that the operator can do better.
    pub fn is_well(&self) -> bool {
        self.user != 0
    }
}
