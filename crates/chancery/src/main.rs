//! The program; everything is in the library, so that tests can ask it for the reference pages.

/// Wipes what is freed: messages and keys pass through buffers of libraries that do not know what is in them.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    chancery::run()
}
