//! Users of the operating system, by name.

use nix::unistd::User;
use server::confine;

use crate::failure::{Failure, MISSING, NOT_PERMITTED};

/// As whom the intake runs when nobody says otherwise.
const INTAKE: &str = "chancery-intake";

/// As whom the intake is to run: the user that was named, or the usual one where there is such a user. Only root can
/// choose.
///
/// # Errors
/// A user was named and there is none of that name, or we are not root.
pub fn intake_user(name: Option<&str>) -> Result<Option<confine::User>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return match name {
            None => Ok(None),
            Some(name) => Err(Failure::new(
                NOT_PERMITTED,
                format!("only root can run the intake as {name}; start as root, or without --intake-user"),
            )),
        };
    }
    let found = User::from_name(name.unwrap_or(INTAKE))
        .map_err(|error| Failure::new(MISSING, format!("looking for the user of the intake: {error}")))?;
    match (found, name) {
        (Some(user), _) if user.uid.is_root() => Err(Failure::usage(
            "the intake must not run as root; name another user with --intake-user",
        )),
        (Some(user), _) => Ok(Some(confine::User {
            user: user.uid.as_raw(),
            group: user.gid.as_raw(),
        })),
        (None, None) => Ok(None),
        (None, Some(name)) => Err(Failure::new(
            MISSING,
            format!("there is no user {name}; make one with `useradd --system {name}`, or name another"),
        )),
    }
}
