//! The follower: reads entries in order into the catalogue, and normalizes captures as they become complete.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::entry::{Act, ActCode, Header, Kind, Origin, Sealing};
use model::{MessageId, Position, Timestamp};
use seal::group::RawEntry;
use store::StoreError;
use store::catalogue::{CaptureRow, CaptureState, Catalogue, GapRow};
use store::failpoint;

use super::archive::ahead::{Ahead, unlocked_ahead};
use super::{
    Inner, Progress, Trouble, VaultError, archive, canaries, consent, gaps, governance, locked, normalize,
    statement,
};

/// Captures normalized before new entries are looked at again. Several times what is written together: while that is written,
/// what opens the next is worked out.
const CAPTURES_AT_ONCE: u32 = 2048;

/// Groups read in one transaction of the catalogue.
const GROUPS_AT_ONCE: usize = 256;

/// The longest wait for something new.
const WAIT: Duration = Duration::from_secs(1);

/// Pause before what failed is tried again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest: whoever made room on the disk does not want to wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

const FOLLOWED: &str = "followed";

pub fn start(inner: Arc<Inner>) -> Result<JoinHandle<()>, VaultError> {
    std::thread::Builder::new()
        .name("follow".to_owned())
        .spawn(move || run(&inner))
        .map_err(|source| {
            StoreError::Io {
                doing: "starting a thread for",
                path: "following".into(),
                source,
            }
            .into()
        })
}

fn run(inner: &Arc<Inner>) {
    let _noticed = Noticed(inner);
    let mut pause = FIRST_PAUSE;
    while !inner.closing.load(Ordering::SeqCst) {
        let stepped = delete_if_asked(inner).and_then(|()| step(inner));
        if stepped.is_ok() && inner.trouble().is_some() {
            tracing::info!("following goes on");
            inner.set_trouble(None);
            pause = FIRST_PAUSE;
        }
        match stepped {
            Ok(true) => {}
            Ok(false) => {
                let followed = locked(&inner.progress).followed;
                // The wait is cut short by new entries and by closing; its length only bounds how late a lost
                // wake-up is noticed.
                inner.ledger.wait_past(followed, WAIT, &inner.closing);
            }
            Err(error) => {
                // A key store that stopped goes on only after a restart, and may have left a destruction to finish.
                let passes = may_pass(&error) && !locked(&inner.keys).has_failed();
                let why = said(&error);
                tracing::error!(error = %why, tried_again = passes, "following stopped");
                inner.set_trouble(Some(Trouble { why, passes }));
                let until = if passes {
                    Some(Instant::now() + pause)
                } else {
                    None
                };
                pause = (pause * 2).min(LONGEST_PAUSE);
                rest(inner, until);
                reopen(inner, &error);
            }
        }
    }
}

/// Waits until it is time, a rebuild is wanted, a scrub mended something, or the vault closes.
fn rest(inner: &Inner, until: Option<Instant>) {
    let go_on = || rebuild_is_wanted(inner) || inner.follow_again.swap(false, Ordering::SeqCst);
    while !inner.closing.load(Ordering::SeqCst) && !go_on() {
        let left = until.map_or(WAIT, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return;
        }
        inner
            .ledger
            .wait_past(inner.ledger.head(), left.min(WAIT), &inner.closing);
    }
}

/// Whether it may be over when it is tried again.
fn may_pass(error: &VaultError) -> bool {
    match error {
        VaultError::Store(error) => error.may_pass(),
        VaultError::File { .. } | VaultError::Capture(_) => true,
        _ => false,
    }
}

fn said(error: &VaultError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Nothing is tried again on a descriptor on which a write failed.
fn reopen(inner: &Inner, error: &VaultError) {
    if let VaultError::Store(StoreError::Catalogue(_)) = error
        && let Ok((catalogue, _)) = Catalogue::open(&inner.folder.join("catalogue/catalogue.sqlite"))
    {
        *locked(&inner.catalogue) = catalogue;
    }
}

/// Nobody waits for a follower that panicked.
struct Noticed<'a>(&'a Inner);

impl Drop for Noticed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_trouble(Some(Trouble {
                why: "the follower panicked; restart, and report what the log says".to_owned(),
                passes: false,
            }));
            self.0.set_progress(|progress| {
                progress.failed = true;
                progress.rebuilds = u64::MAX;
            });
        }
    }
}

fn rebuild_is_wanted(inner: &Inner) -> bool {
    locked(&inner.progress).rebuilds < inner.rebuilds_wanted.load(Ordering::SeqCst)
}

/// Deletes everything when a rebuild was asked for. Between two rounds, so that no round writes what it read before.
fn delete_if_asked(inner: &Inner) -> Result<(), VaultError> {
    if !rebuild_is_wanted(inner) {
        return Ok(());
    }
    let rebuilds = inner.rebuilds_wanted.load(Ordering::SeqCst);
    inner.set_progress(|progress| {
        *progress = Progress {
            rebuilds,
            looks: progress.looks,
            ..Progress::default()
        };
    });
    locked(&inner.catalogue).transaction(Catalogue::clear)?;
    Ok(())
}

/// One round; `true` when there was something to do.
fn step(inner: &Arc<Inner>) -> Result<bool, VaultError> {
    sweep(inner)?;
    inner.open_again()?;
    // What waits already is opened while entries are read that came meanwhile: reading them needs no key.
    let waiting = locked(&inner.catalogue).captures_to_normalize(CAPTURES_AT_ONCE)?;
    unlocked_ahead(inner, waiting.iter(), |ahead| round(inner, ahead))
}

fn round(inner: &Arc<Inner>, ahead: &Ahead) -> Result<bool, VaultError> {
    // Wraps and parts that exist must be known before anything is normalized, or it would be written out twice.
    let head = inner.ledger.head();
    let mut busy = false;
    while position_of(&locked(&inner.catalogue))? < head {
        busy |= index_entries(inner)?;
        if inner.closing.load(Ordering::SeqCst) {
            return Ok(false);
        }
    }
    inner.set_progress(|progress| progress.followed = progress.followed.max(head));
    let captures = locked(&inner.catalogue).captures_to_normalize(CAPTURES_AT_ONCE)?;
    // What arrived before two people agreed is understood first: it may be held.
    let waiting = captures.first().map(|row| row.position);
    if governance::destroy::carry_out(inner, waiting)? {
        return Ok(true);
    }
    normalize::normalize(inner, &captures, ahead)?;
    if !captures.is_empty() {
        return Ok(true);
    }
    let followed = position_of(&locked(&inner.catalogue))?;
    inner.set_progress(|progress| progress.normalized = followed);
    if busy {
        return Ok(true);
    }
    nothing_waits(inner)
}

/// What is left for when all that arrived is understood; `true` when something was written.
fn nothing_waits(inner: &Arc<Inner>) -> Result<bool, VaultError> {
    let unfinished = locked(&inner.catalogue).unfinished_epochs()?;
    inner.end_epochs(&unfinished)?;
    inner.end_provisional()?;
    let found = gaps::look(inner)?;
    // Not before every gap that is known stands in the ledger, and was read back from it.
    let stated = !found && statement::state(inner)?;
    if !stated {
        inner.set_progress(|progress| progress.looks += 1);
    }
    Ok(found || stated)
}

pub fn position_of(catalogue: &Catalogue) -> Result<Position, StoreError> {
    Ok(Position(u64::try_from(catalogue.mark(FOLLOWED)?).unwrap_or(0)))
}

pub fn index_entries(inner: &Arc<Inner>) -> Result<bool, VaultError> {
    let from = position_of(&locked(&inner.catalogue))?;
    let head = inner.ledger.head();
    if from > head {
        return Err(StoreError::damaged(
            "catalogue",
            "has read further than the ledger reaches; run rebuild",
        )
        .into());
    }
    let mut scanner = inner.ledger.scan(from);
    let mut catalogue = locked(&inner.catalogue);
    let followed = catalogue.transaction(|catalogue| {
        let mut next = from;
        for _ in 0..GROUPS_AT_ONCE {
            let Some(group) = scanner.next_group()? else { break };
            for (position, raw) in group.entries()? {
                if position >= from {
                    note(inner, catalogue, position, &raw)?;
                    next = position.plus(1);
                }
            }
        }
        catalogue.set_mark(FOLLOWED, i64::try_from(next.0).unwrap_or(i64::MAX))?;
        Ok(next)
    })?;
    drop(catalogue);
    sweep(inner)?;
    inner.set_progress(|progress| progress.followed = followed);
    Ok(true)
}

/// Brings what a destruction deleted out of the database's files, before anybody hears that it is done. What cannot be done
/// now (a full disk) is tried again at the next start or destruction; until then certificates say so.
fn sweep(inner: &Inner) -> Result<(), VaultError> {
    let mut catalogue = locked(&inner.catalogue);
    if inner.sweep_failed.load(Ordering::SeqCst) || !catalogue.must_sweep()? {
        return Ok(());
    }
    failpoint::hit("destruction-purged");
    let swept = catalogue.write_anew().and_then(|()| {
        // Nobody reads meanwhile, so that nothing keeps the log from being ended.
        let _reader = locked(&inner.reader);
        catalogue.end_log()
    });
    match swept {
        Ok(true) => failpoint::hit("destruction-swept"),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(error = %error, "what was destroyed is deleted, and not yet out of the catalogue's files");
            inner.sweep_failed.store(true, Ordering::SeqCst);
        }
    }
    Ok(())
}

fn note(
    inner: &Inner,
    catalogue: &mut Catalogue,
    at: Position,
    raw: &RawEntry<'_>,
) -> Result<(), StoreError> {
    let header = Header::decode(raw.header)
        .map_err(|problem| StoreError::damaged(format!("entry {at}"), problem.to_string()))?;
    match &header.kind {
        Kind::Chunk(chunk) => {
            let row = capture_row(&header, &chunk.origin, &chunk.sealing, raw.body.len());
            if chunk.sealing.chunk == 0 {
                catalogue.note_rhythm(&row.connection, row.received_at)?;
            }
            catalogue.note_chunk(&row, chunk.sealing.chunk, chunk.sealing.last, at)
        }
        Kind::Outside(outside) => {
            let mut row = capture_row(&header, &outside.origin, &outside.sealing, raw.body.len());
            row.cause = Some(outside.cause);
            row.file = outside.file;
            row.file_state = outside.state;
            catalogue.note_chunk(&row, outside.sealing.chunk, outside.sealing.last, at)
        }
        Kind::Part(part) => catalogue.note_part(part.source, part.part, part.last, at, &part.keys),
        Kind::Wrap(wrap) => catalogue.note_wrap(wrap.source, at, &wrap.keys),
        Kind::Gap(gap) => catalogue.note_gap(&GapRow {
            position: at,
            connection: gap.connection.as_ref().map(ToString::to_string),
            from: gap.from,
            to: gap.to,
            cause: gap.cause.name().to_owned(),
            count: gap.count,
            detail: None,
            left: None,
            closed: None,
        }),
        Kind::Act(act) => note_act(inner, catalogue, &header, act, raw.body),
        Kind::Destruction(gone) if gone.reason == archive::SUPERSEDED => {
            catalogue.note_superseded(&gone.keys, at)
        }
        // An epoch's key concerns no wrap and no part.
        Kind::Destruction(gone) if gone.reason == governance::BY_PEOPLE => {
            catalogue.note_destruction(&gone.keys, at)
        }
        Kind::Destruction(gone) if gone.reason == consent::NO_CONSENT => {
            consent::note_tombstone(inner, catalogue, at, gone, raw.body)
        }
        Kind::Destruction(_) => Ok(()),
    }
}

fn capture_row(header: &Header, origin: &Origin, sealing: &Sealing, body_bytes: usize) -> CaptureRow {
    const DAY_MICROS: i64 = 86_400_000_000;
    let at = header.position;
    let locked_until = (origin.minimum_lock_days > 0).then(|| {
        let lock = i64::from(origin.minimum_lock_days).saturating_mul(DAY_MICROS);
        Timestamp::from_micros(header.recorded_at.as_micros().saturating_add(lock))
    });
    CaptureRow {
        position: at,
        capture_id: sealing.capture.0,
        connection: origin.connection.to_string(),
        connector: origin.connector.clone(),
        connector_version: origin.connector_version,
        received_at: origin.received_at,
        verdict: origin.verdict,
        epoch: sealing.epoch,
        chunks: 1,
        size_bytes: body_bytes as u64,
        last_position: at,
        state: CaptureState::Partial,
        cause: None::<MessageId>,
        file: 0,
        file_state: 0,
        closed: false,
        locked_until,
    }
}

fn note_act(
    inner: &Inner,
    catalogue: &mut Catalogue,
    header: &Header,
    act: &Act,
    body: &[u8],
) -> Result<(), StoreError> {
    let at = header.position;
    catalogue.note_act(at, act.code as u16)?;
    if act.code == ActCode::ImportBegun {
        let mut plain = Vec::new();
        seal::act::open_act(&inner.file.zone, act, inner.acts_secret(), body, &mut plain)?;
        if let Ok(begun) = serde_json::from_slice::<super::import::Begun>(&plain) {
            catalogue.note_import(&begun.digest.0, &begun.capture.0)?;
        }
    }
    if act.code == ActCode::CompletenessStated {
        let mut plain = Vec::new();
        seal::act::open_act(&inner.file.zone, act, inner.acts_secret(), body, &mut plain)?;
        statement::note(catalogue, at, &plain)?;
    }
    if act.code == ActCode::CanaryChanged {
        let mut plain = Vec::new();
        seal::act::open_act(&inner.file.zone, act, inner.acts_secret(), body, &mut plain)?;
        canaries::note(catalogue, at, &plain)?;
    }
    if act.code == ActCode::ConsentDecided {
        let mut plain = Vec::new();
        seal::act::open_act(&inner.file.zone, act, inner.acts_secret(), body, &mut plain)?;
        consent::note_said(catalogue, at, &plain)?;
    }
    if matches!(act.code, ActCode::GapDetailed | ActCode::GapClosed) {
        let mut plain = Vec::new();
        seal::act::open_act(&inner.file.zone, act, inner.acts_secret(), body, &mut plain)?;
        gaps::note(catalogue, act.code, at, header.recorded_at, &plain)?;
    }
    Ok(())
}
