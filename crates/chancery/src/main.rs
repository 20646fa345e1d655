//! The program; everything is in the library, so that tests can ask it for the reference pages.

fn main() -> std::process::ExitCode {
    chancery::run()
}
