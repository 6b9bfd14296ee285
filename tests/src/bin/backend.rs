//! `tollgated` under another name, for tests that need it as a process of its own.

fn main() -> std::process::ExitCode {
    tollgate_backend::cli::main()
}
