//! Which addresses out of a payload or an answer may be asked.

/// `https` and a host from the list, or the very origin that was configured as the vendor's. A host of the list that
/// begins with a dot stands for every host under it.
pub(crate) fn allowed(url: &str, vendor: &str, hosts: &str) -> bool {
    let Some((scheme, authority)) = origin(url) else {
        return false;
    };
    if origin(vendor).as_ref() == Some(&(scheme.clone(), authority.clone())) {
        return true;
    }
    let host = authority.strip_suffix(":443").unwrap_or(&authority);
    scheme == "https"
        && !host.contains(':')
        && hosts
            .split(',')
            .map(|entry| entry.trim().to_ascii_lowercase())
            .any(|entry| {
                let under = entry.starts_with('.') && host.len() > entry.len() && host.ends_with(&entry);
                !entry.is_empty() && (under || host == entry)
            })
}

/// Scheme and authority in lower case. Anything that two readers could understand differently is none: a user
/// name, an escape, a backslash, a blank, a character outside ASCII.
fn origin(url: &str) -> Option<(String, String)> {
    let odd = |b: u8| !b.is_ascii_alphanumeric() && !b"-.:[]".contains(&b);
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    if !url.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') || authority.bytes().any(odd) {
        return None;
    }
    let named = authority.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    (!scheme.is_empty() && named).then(|| (scheme.to_ascii_lowercase(), authority.to_ascii_lowercase()))
}
