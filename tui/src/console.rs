//! The loop that joins terminal, feed, client and model.
//!
//! Three bounded queues: input, replies, data. Input is drained first; a frame is drawn when it is
//! drained and something is dirty: at once after a key, at most `fps` times a second after data. A
//! slow terminal is drawn on more seldom. Refuses to know what messages mean.
//!
//! | queue | most | when it is full |
//! |---|---|---|
//! | input | the terminal's own | keys wait |
//! | replies | 16 | requests wait to be answered |
//! | deltas | 64 | the feed waits, then the server says `lagged` |

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::EventStream;
use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use signal_hook::consts::{SIGCONT, SIGTSTP};
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use crate::client::{Client, ClientOptions};
use crate::feed::{Delta, Feed, FeedOptions, clock};
use crate::message::{Effect, Export, Message, Reply};
use crate::model::{Model, Settings};
use crate::replay::{self, ReplayOptions};
use crate::settings::{self, Chosen, Files, News, State};
use crate::term::{self, Term};
use crate::theme::{Depth, ThemeChoice, ground};
use crate::update::update;
use crate::view::view;
use crate::zone;

mod governor;
mod signals;

use governor::Governor;
use signals::{signals, stop_the_group};

/// What a console is opened with.
#[derive(Clone, Debug)]
pub struct ConsoleOptions {
    /// `http://127.0.0.1:6120`.
    pub gateway: String,
    /// `http://127.0.0.1:6103`.
    pub router: String,
    /// `ws://127.0.0.1:6102/events`.
    pub events: String,
    /// The caller's key, where the backend wants one; never printed.
    pub key: Option<String>,
    /// How many colours the terminal has.
    pub depth: Depth,
    /// What the model starts with.
    pub settings: Settings,
    /// Who changes things, for the audit.
    pub operator: Option<String>,
    /// The files that are watched, and what outweighs them; none in pictures and tests.
    pub files: Option<(Files, Chosen)>,
    /// Receipt files in place of a backend.
    pub replay: Option<ReplayOptions>,
}

impl Default for ConsoleOptions {
    fn default() -> Self {
        Self {
            gateway: "http://127.0.0.1:6120".into(),
            router: "http://127.0.0.1:6103".into(),
            events: "ws://127.0.0.1:6102/events".into(),
            key: None,
            depth: Depth::True,
            settings: Settings { profile: "local".into(), ..Settings::default() },
            operator: None,
            files: None,
            replay: None,
        }
    }
}

impl ConsoleOptions {
    /// What the model starts with.
    pub fn settings(&self) -> Settings {
        Settings {
            gateway: self.gateway.clone(),
            router: self.router.clone(),
            ..self.settings.clone()
        }
    }

    /// Starts the feed; deltas come out of the receiver until it is dropped.
    pub fn feed(&self) -> (mpsc::Receiver<Delta>, Arc<Notify>, tokio::task::JoinHandle<()>) {
        let (sender, deltas) = mpsc::channel(DELTAS_MAX);
        let hurry = Arc::new(Notify::new());
        if let Some(files) = &self.replay {
            return (deltas, hurry, tokio::spawn(replay::run(files.clone(), sender)));
        }
        let options = FeedOptions { url: self.events.clone(), key: self.key.clone() };
        let task = tokio::spawn(Feed::new(options, sender, hurry.clone()).run());
        (deltas, hurry, task)
    }

    /// New settings come out of the receiver when the files change; never without files.
    fn news(&self) -> std::io::Result<mpsc::Receiver<News>> {
        match &self.files {
            Some((files, chosen)) => settings::watch(files.clone(), chosen.clone()),
            None => Ok(mpsc::channel(1).1),
        }
    }

    /// How the console was left, and where that is kept.
    fn left(&self) -> Option<(&Files, State)> {
        let (files, _) = self.files.as_ref()?;
        Some((files, State::load(files, &self.settings.profile)))
    }

    /// A client whose answers come out of the receiver.
    pub fn client(&self) -> anyhow::Result<(Client, mpsc::Receiver<Reply>)> {
        let (sender, replies) = mpsc::channel(REPLIES_MAX);
        // Behind files there is nobody, and another backend must not answer in their place.
        let place = |url: &String| if self.replay.is_some() { String::new() } else { url.clone() };
        let options = ClientOptions {
            gateway: place(&self.gateway),
            router: place(&self.router),
            key: self.key.clone(),
            operator: self.operator.clone(),
        };
        Ok((Client::new(options, sender)?, replies))
    }
}

/// Opens the console and runs it until the person leaves.
pub async fn run(mut options: ConsoleOptions) -> anyhow::Result<()> {
    anyhow::ensure!(
        std::io::stdout().is_terminal() && std::io::stdin().is_terminal(),
        "there is no terminal here; `tollgate shot --text` prints a picture without one"
    );
    if options.settings.theme == ThemeChoice::Auto && options.depth != Depth::None {
        let ground = ground(variable);
        options.settings.theme = ground;
        if let Some((_, chosen)) = &mut options.files {
            chosen.ground = ground;
        }
    }
    let (client, replies) = options.client()?;
    let left = Arc::new(AtomicBool::new(false));
    let mut signals = signals(left.clone())?;
    let (deltas, hurry, feed) = options.feed();
    let news = options.news()?;
    zone::use_system();
    let term = Term::enter(options.settings.sync)?;
    let mut model = Model::new(options.settings(), term.size(), clock());
    if let Some((_, state)) = options.left() {
        state.apply(&mut model);
    }
    let mut console = Console {
        governor: Governor::new(options.settings.fps.unwrap_or(FPS_DEFAULT)),
        depth: options.depth,
        model,
        term,
        client,
        hurry,
        feed,
    };
    let done = console.run(Queues { deltas, replies, news, signals: &mut signals }).await;
    left.store(true, Ordering::SeqCst);
    if let Some((files, _)) = &options.files {
        // What cannot be kept is no reason to leave with an error.
        State::of(&console.model).save(files, &options.settings.profile).ok();
    }
    done
}

/// A variable of the environment, where it is set and text.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Everything the loop owns; the model is the only part that anybody decides about.
struct Console {
    model: Model,
    term: Term,
    client: Client,
    hurry: Arc<Notify>,
    feed: tokio::task::JoinHandle<()>,
    governor: Governor,
    depth: Depth,
}

/// What the loop waits for besides input and time.
struct Queues<'a> {
    deltas: mpsc::Receiver<Delta>,
    replies: mpsc::Receiver<Reply>,
    news: mpsc::Receiver<News>,
    signals: &'a mut mpsc::Receiver<i32>,
}

/// Whether the loop goes on.
enum Next {
    Go,
    Leave,
}

impl Console {
    async fn run(&mut self, mut queues: Queues<'_>) -> anyhow::Result<()> {
        let mut input = EventStream::new();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.draw()?;
        loop {
            let due = self.governor.due();
            let next = tokio::select! {
                biased;
                event = input.next() => match event {
                    Some(event) => self.input(event?)?,
                    None => Next::Leave,
                },
                Some(signal) = queues.signals.recv() => self.signal(signal)?,
                Some(reply) = queues.replies.recv() => self.take(Message::Reply(reply), true)?,
                Some(delta) = queues.deltas.recv() => {
                    self.take(Message::Delta(Box::new(delta)), false)?
                }
                Some(news) = queues.news.recv() => self.take(Message::Settings(news), true)?,
                _ = second.tick() => self.take(Message::Clock(clock()), false)?,
                () = tokio::time::sleep_until(due), if self.governor.is_dirty() => Next::Go,
            };
            if let Next::Leave = next {
                return Ok(());
            }
            // Input is drained before anything is drawn: held keys do not pile up frames. Asked with
            // the loop's own waker: the stream keeps the last one, and another would wake nobody.
            while let Some(Some(event)) = poll_immediate(input.next()).await {
                if let Next::Leave = self.input(event?)? {
                    return Ok(());
                }
            }
            if self.governor.is_time() {
                self.draw()?;
            }
            if self.feed.is_finished() {
                anyhow::bail!("the feed ended; the reason stands above");
            }
            if term::is_given_back() {
                anyhow::bail!("a part of the console panicked; the reason stands above");
            }
        }
    }

    /// An event of the terminal. The size is the terminal's own business before it is the
    /// model's.
    fn input(&mut self, event: crossterm::event::Event) -> anyhow::Result<Next> {
        let Some(message) = term::message(event) else { return Ok(Next::Go) };
        if let Message::Resize(width, height) = message {
            self.term.resize(width, height);
        }
        self.take(message, true)
    }

    /// A message into the model, its effects out into the world.
    fn take(&mut self, message: Message, is_urgent: bool) -> anyhow::Result<Next> {
        let is_quiet = matches!(&message, Message::Delta(delta) if delta.is_quiet());
        let is_settings = matches!(&message, Message::Settings(Ok(_)));
        let effects = update(&mut self.model, message);
        if is_settings {
            self.governor.gap(self.model.settings.fps.unwrap_or(FPS_DEFAULT));
            self.term.forget();
        }
        if !is_quiet {
            self.governor.dirty(is_urgent);
        }
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(Next::Leave),
                Effect::Suspend => stop_the_group(),
                Effect::Redraw => self.term.forget(),
                Effect::Copy(text) => self.term.copy(&text)?,
                Effect::Reconnect => self.hurry.notify_one(),
                Effect::Send(call) => self.client.send(call),
                Effect::Mouse(ours) => self.term.mouse(ours)?,
                Effect::Write(export) => {
                    let words = write(&export);
                    self.model.toast(words);
                }
            }
        }
        Ok(Next::Go)
    }

    /// Stopping and continuing are handled here; every other signal asks to leave.
    fn signal(&mut self, signal: i32) -> anyhow::Result<Next> {
        match signal {
            SIGTSTP => self.term.suspend()?,
            SIGCONT => self.term.forget(),
            _ => return Ok(Next::Leave),
        }
        let (width, height) = self.term.size();
        self.take(Message::Resize(width, height), true)
    }

    /// One frame: the picture of the model, of which only the differences are written.
    fn draw(&mut self) -> anyhow::Result<()> {
        let theme = self.model.settings.colours(self.depth);
        let (width, height) = self.term.size();
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        view(&self.model, &theme, area, &mut buffer);
        let took = self.term.draw(buffer)?;
        self.governor.drawn(took);
        Ok(())
    }
}

/// Writes a file into the folder the console was started in, never over another; answers what to
/// say.
fn write(export: &Export) -> String {
    let stamp: String =
        clock().to_string().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    for place in 0..EXPORTS_A_SECOND {
        let more = if place == 0 { String::new() } else { format!("-{place}") };
        let name = format!("tollgate-{}-{stamp}{more}.{}", export.stem, export.ending);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&name);
        match file.and_then(|mut file| std::io::Write::write_all(&mut file, export.text.as_bytes()))
        {
            Ok(()) => return format!("{} bytes in {name}", export.text.len()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return format!("failed to write {name}: {error}"),
        }
    }
    "failed to find a free name for the file".into()
}

/// Most files of one name within a second.
const EXPORTS_A_SECOND: u32 = 100;

/// Most frames a second after data, unless asked otherwise: people read no faster.
pub const FPS_DEFAULT: u32 = 4;

/// Deltas that may wait: some seconds of them at ten a second; then the feed waits too, and a
/// console that gets no time holds no memory either.
const DELTAS_MAX: usize = 64;

/// Replies that may wait.
const REPLIES_MAX: usize = 16;
