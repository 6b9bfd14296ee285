//! Files: configuration that names backends, and receipts without one.

use anyhow::ensure;
use std::io::Write;

use super::{Desk, plain, said};

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_file_stops_a_command_with_its_place() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    let rows = [
        ("config.toml", "theme = \"dark\"\nfps = 99\n", "config.toml:2:7: from 1 to 30"),
        ("config.toml", "themes = 1\n", "config.toml:1:1: "),
        ("config.toml", "theme = \"night\"\n", "no theme `night`"),
        (
            "keys.toml",
            "budget = \"q\"\n",
            "keys.toml:1:1: `q` is the key of `budget` and of `quit`",
        ),
        ("keys.toml", "budget = \"C-b\"\n", "keys.toml:1:1: `C-b` belongs to tmux"),
        ("themes/night.toml", "\nok = \"blue\"\n", "themes/night.toml:2:6: "),
    ];
    for (name, text, wanted) in rows {
        desk.file(name, text)?;
        let stopped = desk.say(&["runs"]).await?;
        ensure!(stopped.code == Some(2) && stopped.err.contains(wanted), "{text}: {stopped:?}");
        std::fs::remove_file(desk.home.path().join("config/tollgate").join(name))?;
    }
    desk.file("config.toml", "fps = 99\n")?;
    let doctor = desk.say(&["doctor"]).await?;
    ensure!(doctor.code == Some(1) && doctor.out.contains("config.toml:1:7"), "{doctor:?}");
    ensure!(doctor.out.contains("→ mend it"), "{doctor:?}");
    desk.file("config.toml", "")?;
    let doctor = desk.say(&["doctor"]).await?;
    ensure!(doctor.code == Some(0) && doctor.out.contains("✓ event stream"), "{doctor:?}");
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_names_its_backend_and_what_may_be_done_there() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    desk.spend("r", "hello").await?;
    let (gateway, router) = (desk.house.gateway(""), desk.house.router(""));
    let text = format!(
        "default_profile = \"here\"\n[profile.here]\ngateway = \"{gateway}\"\nrouter = \"{router}\"\n\
         [profile.look]\nurl = \"{gateway}\"\nread_only = true\ncolour = \"critical\"\n\
         [profile.gone]\nurl = \"http://127.0.0.1:1\"\n\
         [profile.locked]\nurl = \"{gateway}\"\nkey_env = \"KEY_THAT_IS_NOT_SET\"\n"
    );
    desk.file("config.toml", &text)?;
    desk.file("keys.toml", "budget = \"B\"\n")?;
    let ask = async |words: &[&str]| {
        let mut command = plain(&desk.home);
        command.args(words);
        said(command).await
    };
    let rows: [(&[&str], i32, &str); 7] = [
        (&["runs"], 0, ""),
        (&["providers", "list"], 0, ""),
        (&["runs", "--profile", "gone"], 3, "127.0.0.1:1"),
        (&["runs", "--profile", "nowhere"], 2, "no profile `nowhere`; known: gone, here"),
        (&["runs", "--profile", "locked"], 2, "`KEY_THAT_IS_NOT_SET` is not set"),
        (&["runs", "--profile", "look"], 0, ""),
        (&["pause", "r", "--profile", "look"], 1, "READ-ONLY"),
    ];
    for (words, code, sentence) in rows {
        let said = ask(words).await?;
        ensure!(said.code == Some(code) && said.err.contains(sentence), "{words:?}: {said:?}");
    }
    let status = ask(&["status", "--profile", "look", "--format", "{profile}"]).await?;
    ensure!(status.out == "look\n", "{status:?}");
    let keys = ask(&["keys", "--md"]).await?;
    ensure!(keys.out.contains("| `B` | budget |"), "{}", keys.out);
    desk.house.leave().await
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_files_are_enough_to_look_at() -> anyhow::Result<()> {
    let desk = Desk::new().await?;
    for run in ["one", "two"] {
        desk.spend(run, "hello").await?;
        desk.house.receipts(run).await?;
    }
    let copy = tempfile::tempdir()?;
    let place = |run: &str| copy.path().join(format!("{run}.jsonl"));
    let text = |run: &str| std::fs::read_to_string(desk.house.path(&format!("costs/{run}.jsonl")));
    let first = text("one")?;
    std::fs::write(place("one"), &first)?;
    let folder = copy.path().to_string_lossy().into_owned();
    let stream = super::live::Stream::start(desk.command(&["replay", &folder, "--plain"]))?;
    let heading = stream.find("Tollgate at ")?;
    ensure!(heading.contains(": 1 run, 0 providers"), "{heading}");
    // A second run appears, its line torn at first.
    let second = text("two")?;
    let (half, rest) = second.split_at(second.len() / 2);
    let mut file = std::fs::File::create(place("two"))?;
    file.write_all(half.as_bytes())?;
    file.flush()?;
    file.write_all(rest.as_bytes())?;
    file.flush()?;
    stream.find("Run two has begun without a limit.")?;
    let missing = desk.say(&["replay", "/nowhere/at/all"]).await?;
    ensure!(missing.code == Some(4), "{missing:?}");
    let wrong = desk.say(&["replay", &folder, "--speed", "0x"]).await?;
    ensure!(wrong.code == Some(2), "{wrong:?}");
    desk.house.leave().await
}
