//! What ends at a known date: secrets of connections, and the certificate that this process listens with.

use model::Timestamp;

use super::checks::{Check, CheckKind};
use super::{Inner, Vault, locked};

const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// So long before it is warned.
const WARNING_MICROS: i64 = 30 * DAY_MICROS;
/// So long before it is an alarm.
const ALARM_MICROS: i64 = 7 * DAY_MICROS;

impl Vault {
    /// Says until when the certificate holds that this process listens with.
    pub fn listens_until(&self, until: Timestamp) {
        *locked(&self.inner.certificate_until) = Some(until);
    }
}

impl Inner {
    /// For `doctor`.
    pub(crate) fn check_expiry(&self, now: Timestamp) -> Vec<Check> {
        let mut checks = Vec::new();
        for config in self.connections() {
            for (name, until) in &config.secret_expires {
                let check = format!("the secret {name} of {} holds", config.id);
                let check = judged(CheckKind::SecretExpires, check, *until, now);
                checks.push(check.of(format!("{}/{name}", config.id)));
            }
        }
        if let Some(until) = *locked(&self.certificate_until) {
            let check = "the TLS certificate holds".to_owned();
            checks.push(judged(CheckKind::CertificateExpires, check, until, now));
        }
        checks
    }
}

fn judged(kind: CheckKind, check: String, until: Timestamp, now: Timestamp) -> Check {
    let left = until.as_micros() - now.as_micros();
    let days = left.div_euclid(DAY_MICROS);
    let detail = match left {
        ..=0 => format!("it expired at {until}"),
        _ => format!("until {until}: {days} days are left; 30 are a warning, 7 too few"),
    };
    let mut check = Check::new(kind, check, left > ALARM_MICROS, detail);
    check.warning = check.ok && left <= WARNING_MICROS;
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_before_is_a_warning_and_seven_days_before_and_ever_after_an_alarm() {
        let day = 86_400;
        let check = |seconds_left: i64, ok: bool, warning: bool| {
            let now = Timestamp::from_seconds(1_000 * day);
            let until = Timestamp::from_seconds(1_000 * day + seconds_left);
            let judged = judged(CheckKind::SecretExpires, "x".to_owned(), until, now);
            assert_eq!((judged.ok, judged.warning), (ok, warning), "{seconds_left}");
        };
        check(31 * day, true, false);
        check(30 * day + 1, true, false);
        check(30 * day, true, true);
        check(7 * day + 1, true, true);
        check(7 * day, false, false);
        check(1, false, false);
        check(0, false, false);
        check(-400 * day, false, false);
    }
}
