//! The program: everything is in the library.

fn main() -> std::process::ExitCode {
    clawfleet::cli::run(std::env::args_os())
}
