-- What followers made of the ledger. Everything here can be deleted and made again.
-- "sealed" columns are ciphertext; the rest says nothing that a person wrote or is called by.
CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value BIGINT NOT NULL);

CREATE TABLE IF NOT EXISTS capture (
    position BIGINT PRIMARY KEY,      -- of its first chunk
    capture_id BYTEA NOT NULL,
    connection TEXT NOT NULL,
    connector TEXT NOT NULL,
    connector_version BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    verdict BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    chunks BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    state BIGINT NOT NULL,            -- 0 chunks missing, 1 complete, 2 normalized, 3 not readable, 4 erased
    closed BIGINT NOT NULL,           -- 1: a secret it concerns was destroyed, and it is opened whole no more
    locked_until BIGINT,              -- end of its legal minimum
    report TEXT,
    cause BIGINT,                     -- the message that named this file
    cause_ordinal BIGINT,
    file BIGINT NOT NULL,
    file_state BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS capture_id ON capture (capture_id);
-- Few are not normalized. Whoever looks for them repeats `state <> 2`, or the index is not used.
CREATE INDEX IF NOT EXISTS capture_open ON capture (state, position) WHERE state <> 2;
CREATE INDEX IF NOT EXISTS capture_cause ON capture (cause, cause_ordinal) WHERE cause IS NOT NULL;

-- Where the chunks after the first stand.
CREATE TABLE IF NOT EXISTS chunk (
    capture_id BYTEA NOT NULL, chunk BIGINT NOT NULL, position BIGINT NOT NULL, PRIMARY KEY (capture_id, chunk)
);
-- "dead": the destruction by which it lost a secret, 0 while all of them live.
CREATE TABLE IF NOT EXISTS wrap (
    source BIGINT NOT NULL, position BIGINT NOT NULL, dead BIGINT NOT NULL, PRIMARY KEY (source, position)
);
CREATE TABLE IF NOT EXISTS part (
    source BIGINT NOT NULL, position BIGINT NOT NULL, part BIGINT NOT NULL, last BIGINT NOT NULL, dead BIGINT NOT NULL,
    PRIMARY KEY (source, position)
);
-- Which captures a secret concerns, and by which wrap or part: what a destruction reaches. Kept small: each message adds
-- three rows.
CREATE TABLE IF NOT EXISTS concern (
    key BYTEA NOT NULL, source BIGINT NOT NULL, position BIGINT NOT NULL, PRIMARY KEY (key, source, position)
) WITHOUT ROWID;
-- Secrets that people ordered destroyed, and the entry that says so.
CREATE TABLE IF NOT EXISTS gone (key BYTEA PRIMARY KEY, position BIGINT NOT NULL);
-- Records of mixed captures whose part lost a secret: that there was one, and where its item stands.
CREATE TABLE IF NOT EXISTS erased (
    capture BIGINT NOT NULL, ordinal BIGINT NOT NULL, part BIGINT NOT NULL, item BIGINT NOT NULL,
    PRIMARY KEY (capture, ordinal)
);

CREATE TABLE IF NOT EXISTS record (
    capture BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    sort BIGINT NOT NULL,             -- 1 message, 2 event, 3 problem
    what TEXT NOT NULL,               -- kind of content or event, or reason code
    conversation BYTEA NOT NULL,
    person BYTEA NOT NULL,
    at BIGINT,
    at_local TEXT,
    digest BYTEA NOT NULL,            -- keyed, of everything it says: repeats have the same
    platform BYTEA,                   -- keyed, of the platform's id
    target BYTEA,                     -- keyed, of the id it points at
    place BIGINT NOT NULL,            -- minute, or a piece of the digest where none is known: orders the index
    repeats BIGINT NOT NULL,
    placement BIGINT NOT NULL,        -- 0 under the capture's key, 1 in a part
    part BIGINT,
    item BIGINT,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (capture, ordinal)
);
-- Repeats are told by the digest. Conversation and minute stand before it, so that what arrives together stands
-- together: ordered by digest alone, each row of a large store would dirty a page of its own.
CREATE INDEX IF NOT EXISTS record_place ON record (conversation, place, digest);
CREATE INDEX IF NOT EXISTS record_platform ON record (platform) WHERE platform IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_target ON record (target) WHERE target IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_problem ON record (capture) WHERE sort = 3;

CREATE TABLE IF NOT EXISTS gap (
    position BIGINT PRIMARY KEY, connection TEXT, from_at BIGINT NOT NULL, to_at BIGINT NOT NULL,
    cause TEXT NOT NULL, amount BIGINT NOT NULL,
    detail TEXT,                      -- what is missing, counted by sort; only of gaps that can close by themselves
    closed_by BIGINT, closed_at BIGINT, reason TEXT
);
CREATE INDEX IF NOT EXISTS gap_open ON gap (cause) WHERE closed_by IS NULL;
-- What something points at and is not here, while it may still come.
CREATE TABLE IF NOT EXISTS pointed (
    target BYTEA PRIMARY KEY, connection TEXT NOT NULL, capture BIGINT NOT NULL, ordinal BIGINT NOT NULL,
    what TEXT NOT NULL, at BIGINT NOT NULL, seen_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pointed_seen ON pointed (seen_at);
CREATE INDEX IF NOT EXISTS pointed_capture ON pointed (capture, ordinal);
-- What gaps name, by keyed digest, and whether it came after all.
CREATE TABLE IF NOT EXISTS lacking (item BYTEA PRIMARY KEY, gap BIGINT NOT NULL, arrived BIGINT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lacking_gap ON lacking (gap, arrived);
-- Numbers of a source's sequence that gaps name.
CREATE TABLE IF NOT EXISTS lacking_run (
    stream BYTEA NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, gap BIGINT NOT NULL, PRIMARY KEY (stream, first)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lacking_run_gap ON lacking_run (gap);
-- Open gaps of which something came since they were last looked at.
CREATE TABLE IF NOT EXISTS touched (gap BIGINT PRIMARY KEY);
-- Numbers of a sequence that are here, as runs without a hole. "due": when the hole before it was seen; none where there
-- is no hole, or a gap names it.
CREATE TABLE IF NOT EXISTS run (
    stream BYTEA NOT NULL, connection TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
    first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, due BIGINT, PRIMARY KEY (stream, first)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS run_due ON run (due) WHERE due IS NOT NULL;
-- How often a connection speaks, and its longest pauses.
CREATE TABLE IF NOT EXISTS rhythm (
    connection TEXT PRIMARY KEY, captures BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL,
    period BIGINT NOT NULL, longest BIGINT NOT NULL, longest_before BIGINT NOT NULL
);
-- Of which days an entry states the completeness; "void": 1 when it was withdrawn.
CREATE TABLE IF NOT EXISTS statement (
    position BIGINT PRIMARY KEY, first_day BIGINT NOT NULL, last_day BIGINT NOT NULL, stated_at BIGINT NOT NULL,
    void BIGINT NOT NULL
);
-- Messages that a connection is expected to bring, by the act that set each. "arrived": the newest capture that held it, by
-- "stated" an entry says so. "gap": the open one, "missed_after" what had arrived when it opened. The words are not here.
CREATE TABLE IF NOT EXISTS canary (
    position BIGINT PRIMARY KEY, connection TEXT NOT NULL, name TEXT NOT NULL, every BIGINT NOT NULL, grace BIGINT NOT NULL,
    set_at BIGINT NOT NULL, removed BIGINT NOT NULL, arrived BIGINT, arrived_at BIGINT, stated BIGINT,
    counted_from BIGINT NOT NULL, gap BIGINT, missed_after BIGINT
);
CREATE TABLE IF NOT EXISTS act (position BIGINT PRIMARY KEY, code BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS imported (digest BYTEA PRIMARY KEY, capture_id BYTEA NOT NULL);
CREATE TABLE IF NOT EXISTS fetch (
    capture BIGINT NOT NULL, ordinal BIGINT NOT NULL, file BIGINT NOT NULL, attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL, state BIGINT NOT NULL, sealed BYTEA NOT NULL,
    PRIMARY KEY (capture, ordinal, file)
);

-- What came without the consent that the zone's rule asks for, by what entry said so: destroyed, or kept because nobody may
-- destroy it. "because" and "custodian" are words and ids of the program's own.
CREATE TABLE IF NOT EXISTS without_consent (
    entry BIGINT NOT NULL, place BIGINT NOT NULL, source BIGINT NOT NULL, connection TEXT NOT NULL, epoch BIGINT NOT NULL,
    custodian TEXT NOT NULL, because TEXT NOT NULL, records BIGINT NOT NULL, kept BIGINT NOT NULL, PRIMARY KEY (entry, place)
);
CREATE INDEX IF NOT EXISTS without_consent_source ON without_consent (source);
-- Keyed digests of the platform's ids of what was destroyed so: it came, and is not missing.
CREATE TABLE IF NOT EXISTS without_consent_id (platform BYTEA PRIMARY KEY);
