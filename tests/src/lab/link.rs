//! A provider in a network of its own, cut off and back: nothing is sent twice, nothing is lost.
//!
//! The provider is a process in another network namespace, at the far end of a pair of virtual
//! cables. Under load one end is taken down for a while: what was under way is neither answered nor
//! refused, it is silent. Taken down here, new connections have no route; taken down there, they are
//! silent as well. The provider is never killed, and its bill is fetched over the same cable when it
//! is back. Root only.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tollgate_backend::simulate::{self, Bill};

use crate::lab::chance::Chance;
use crate::lab::load::{self, Load};
use crate::lab::scene::Scene;
use crate::lab::volume::NO_RESERVE;
use crate::lab::{Options, Report};

/// The fault.
#[derive(Debug)]
pub struct Link {
    options: Options,
    chance: Chance,
    report: Report,
}

impl Link {
    /// With these options.
    pub fn new(options: Options) -> Self {
        let chance = Chance::of(options.seed, 11);
        Self { options, chance, report: Report::default() }
    }

    /// Brings it about, as often as asked, with one provider all along.
    pub async fn run(&mut self) -> anyhow::Result<Report> {
        let cable = match Cable::new(self.chance.below(200)) {
            Ok(cable) => cable,
            Err(error) => {
                self.report.skip(format!("link: no networks of our own here: {error:#}"));
                return Ok(std::mem::take(&mut self.report));
            }
        };
        let mut far = cable.provider(&self.options)?;
        let done = self.cycles(&cable).await;
        far.kill()?;
        far.wait()?;
        done?;
        Ok(std::mem::take(&mut self.report))
    }

    async fn cycles(&mut self, cable: &Cable) -> anyhow::Result<()> {
        let provider = simulate::Config::default();
        let mut scene = Scene::open(&self.options.program, provider).await?;
        scene.flags = load::flags();
        scene.flags.extend(NO_RESERVE.map(str::to_owned));
        scene.start().await?;
        for run in load::RUNS {
            scene.register_at(run.name, 2, &cable.endpoint()).await?;
        }
        let client = scene.client();
        for cycle in 0..self.options.cycles {
            load::raise_limits(&mut scene).await?;
            let load = Load { clients: CLIENTS, seed: self.options.seed, cycle };
            let running = load.start(&scene)?;
            for _ in 0..CUTS {
                tokio::time::sleep(Duration::from_millis(50 + self.chance.below(200))).await;
                let is_here = self.chance.once_in(2);
                cable.set(is_here, "down")?;
                tokio::time::sleep(Duration::from_millis(50 + self.chance.below(1_500))).await;
                cable.set(is_here, "up")?;
                self.report.count(if is_here { "cut here" } else { "cut there" }, 1);
            }
            scene.truth.seen.extend(running.finish().await?);
            let back = async || bill(&client, &cable.endpoint()).await;
            let mut found = back().await;
            for _ in 0..50 {
                if found.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                found = back().await;
            }
            found.context("the cable is back, and the provider is not")?;
            scene.probe("ample").await?;
            self.rest(&client, cable).await?;
            let verdict = scene.judge_by(back().await?).await?;
            self.report.add(verdict);
            self.report.cycles += 1;
            self.options.tell_progress(cycle + 1, &self.report);
        }
        scene.kill()
    }

    /// Waits until the far provider bills no more: what it read late, it bills late.
    async fn rest(&self, client: &reqwest::Client, cable: &Cable) -> anyhow::Result<()> {
        let mut known = bill(client, &cable.endpoint()).await?.total_cost_usd;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = bill(client, &cable.endpoint()).await?.total_cost_usd;
            if now == known {
                return Ok(());
            }
            known = now;
        }
        anyhow::bail!("the provider bills on and on")
    }
}

/// Two ends of a virtual cable, the far one in a network of its own; gone when dropped.
#[derive(Debug)]
struct Cable {
    number: u64,
}

impl Cable {
    fn new(number: u64) -> anyhow::Result<Self> {
        let cable = Self { number };
        // What an earlier lab with this number left.
        cable.ip("netns delete NS").ok();
        cable.ip("link delete HERE").ok();
        cable.ip("netns add NS")?;
        cable.ip("link add HERE type veth peer name THERE netns NS")?;
        cable.ip("address add NET.1/30 dev HERE")?;
        cable.ip("link set HERE up")?;
        cable.ip("-n NS address add NET.2/30 dev THERE")?;
        cable.ip("-n NS link set THERE up")?;
        cable.ip("-n NS link set lo up")?;
        Ok(cable)
    }

    fn endpoint(&self) -> String {
        format!("http://10.213.{}.2:{PORT}", self.number)
    }

    /// The provider at the far end, once it listens.
    fn provider(&self, options: &Options) -> anyhow::Result<std::process::Child> {
        // `ip netns exec` would keep every mount of the moment alive, those of other faults too.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace()));
        command.arg(&options.program).arg("simulate");
        command.args(["--bind", &format!("10.213.{}.2", self.number), "--port", PORT]);
        command.args(["--latency", "3ms", "--chunk-delay", "1ms"]);
        command.args(["--seed", &options.seed.to_string()]);
        let mut far = command.stdout(std::process::Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = far.stdout.take().context("no stdout")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
        ensure!(line.starts_with("ready "), "the provider said `{line}`");
        Ok(far)
    }

    /// Takes one end up or down.
    fn set(&self, is_here: bool, state: &str) -> anyhow::Result<()> {
        match is_here {
            true => self.ip(&format!("link set HERE {state}")),
            false => self.ip(&format!("-n NS link set THERE {state}")),
        }
    }

    fn namespace(&self) -> String {
        format!("tollgate-lab-{}", self.number)
    }

    fn ip(&self, words: &str) -> anyhow::Result<()> {
        let words = words
            .replace("NS", &self.namespace())
            .replace("THERE", &format!("tglab{}b", self.number))
            .replace("HERE", &format!("tglab{}a", self.number))
            .replace("NET", &format!("10.213.{}", self.number));
        let done = Command::new("ip").args(words.split(' ')).output().context("no `ip`")?;
        ensure!(done.status.success(), "ip {words}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // With the namespace goes the cable.
        self.ip("netns delete NS").ok();
        self.ip("link delete HERE").ok();
    }
}

async fn bill(client: &reqwest::Client, endpoint: &str) -> anyhow::Result<Bill> {
    let asked = client.get(format!("{endpoint}/bill")).timeout(Duration::from_secs(2));
    let text = asked.send().await?.text().await?;
    serde_json::from_str(&text).context(text)
}

/// Clients that ask at once.
const CLIENTS: u64 = 24;

/// Cuts in a cycle.
const CUTS: u32 = 3;

/// Where the far provider listens; nobody else is there.
const PORT: &str = "8100";
