//! What must hold for every webhook: signatures, spans, order of fields, fetching.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod files;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod sinks;
