//! `tollgate completions` and `tollgate man`: printed from the same declarations that are parsed,
//! so they cannot be wrong. Refuses to know verbs.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use super::outcome::{Done, print};
use super::{Cli, Failure};

/// Which shell.
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    /// bash, zsh or fish.
    shell: Shell,
}

/// Where the pages go.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Writes a page for each verb into this folder, instead of printing the first.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints completions.
pub fn completions(args: &CompletionArgs) -> Done {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tollgate", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// Prints or writes the manual.
pub fn man(args: &ManArgs) -> Done {
    let command = Cli::command();
    match &args.dir {
        None => print(&page(command)?),
        // A page for each verb below as well: `tollgate-budget-set.1`.
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            Ok(clap_mangen::generate_to(command, dir)?)
        }
    }
}

/// One page.
fn page(command: clap::Command) -> Result<String, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declarations_hold_and_every_verb_has_a_page() {
        Cli::command().debug_assert();
        let dir = tempfile::tempdir().unwrap();
        man(&ManArgs { dir: Some(dir.path().to_owned()) }).unwrap();
        let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text("tollgate.1").contains("Exit codes"));
        assert!(text("tollgate-budget-set.1").contains("x1.5"));
    }
}
