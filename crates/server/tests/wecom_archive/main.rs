//! The WeCom archive: pulled, sealed as it came, and opened in the vault.
#![cfg(test)]

mod files;
mod instance;
mod pulling;
mod watched;
