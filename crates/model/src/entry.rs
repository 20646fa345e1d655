//! Entries of the ledger (being written).
