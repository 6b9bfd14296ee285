//! `tollgated`: the headless backend.

use std::process::ExitCode;

fn main() -> ExitCode {
    tollgate_backend::cli::main()
}
