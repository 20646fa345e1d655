//! `user add`: the password from a prompt or a file; only its digest goes on.

use std::path::Path;

use server::vault::users::{Role, password_digest};

use crate::args::RoleName;
use crate::failure::Failure;
use crate::operation::Operation;
use crate::passphrase;

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Role {
        match role {
            RoleName::Reviewer => Role::Reviewer,
            RoleName::Officer => Role::Officer,
            RoleName::Security => Role::Security,
            RoleName::Auditor => Role::Auditor,
            RoleName::Administrator => Role::Administrator,
        }
    }
}

/// The operation, with the digest of the password.
///
/// # Errors
/// No password, or a short one.
pub fn add(name: &str, role: RoleName, file: Option<&Path>) -> Result<Operation, Failure> {
    let password = match file {
        Some(path) => passphrase::line_of(path)?,
        None => passphrase::twice("Password", "--password-file FILE")?,
    };
    let text = std::str::from_utf8(&password).map_err(|_| Failure::usage("the password is not UTF-8"))?;
    Ok(Operation::UserAdd {
        name: name.to_owned(),
        role: role.into(),
        digest: password_digest(text)?,
    })
}
