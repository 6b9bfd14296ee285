//! The command `tollgate`. Everything it does is in the library, where tests reach it.

fn main() -> std::process::ExitCode {
    tollgate_tui::cli::main()
}
