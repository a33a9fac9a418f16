//! Bars on a terminal for what takes longer than a second.

use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::figures::short;

/// How long something may take before a bar appears.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a bar moves by itself.
const TICK: Duration = Duration::from_millis(100);

/// A bar on standard error; it goes away when this is dropped. Without a terminal there is none.
#[derive(Debug)]
pub struct Progress {
    shown: Option<Shown>,
}

/// A bar that a thread of its own uncovers.
#[derive(Debug)]
struct Shown {
    bar: ProgressBar,
    /// The thread waits for its end.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins something that people call `what`.
    pub fn start(what: &str) -> Self {
        let target = stderr().is_terminal().then(ProgressDrawTarget::stderr);
        Self { shown: target.map(|target| Shown::on(target, PATIENCE, what)) }
    }

    /// So many of `total` steps are done.
    pub fn set(&self, done: usize, total: usize) {
        if let Some(shown) = &self.shown {
            shown.measure(total as u64);
            shown.bar.set_position(done as u64);
        }
    }

    /// Takes the bar away, as dropping does.
    pub fn finish(self) {}
}

impl Shown {
    fn on(target: ProgressDrawTarget, patience: Duration, what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style(NO_STEPS));
        bar.set_length(0);
        bar.set_message(short(what, 60));
        let (running, ended) = channel::<()>();
        let covered = bar.clone();
        let uncover = move || {
            if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                covered.set_draw_target(target);
                covered.enable_steady_tick(TICK);
            }
        };
        // Without a thread there is no bar, and what is being done goes on.
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(uncover).ok();
        Self { bar, running: Some(running), thread }
    }

    /// Shows steps from now on, `total` of them.
    fn measure(&self, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_style(style(STEPS));
            self.bar.set_length(total);
        }
    }
}

/// What is shown where the number of steps is known, and where it is not, in indicatif's words.
const STEPS: &str = "{msg} {wide_bar} {pos}/{len} {elapsed}";
const NO_STEPS: &str = "{msg} {spinner} {elapsed}";

fn style(template: &str) -> ProgressStyle {
    // The default takes over if indicatif ever stops knowing one of the words.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic, and a bar is not worth one here.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what is written on it.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl Paper {
        fn text(&self) -> String {
            self.0.lock().map(|text| text.clone()).unwrap_or_default()
        }
    }

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().map(|mut all| all.push_str(text)).map_err(|_| io::Error::other("poisoned"))
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(patience: Duration) -> (Paper, Shown) {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like(Box::new(paper.clone()));
        (paper, Shown::on(target, patience, "profiling"))
    }

    #[test]
    fn what_ends_soon_shows_nothing() {
        let (paper, shown) = shown(Duration::from_secs(3600));
        shown.measure(7);
        shown.bar.set_position(3);
        drop(shown);
        assert_eq!(paper.text(), "");
    }

    /// Waits until a bar says `words`; the test never ends if it never does.
    fn wait_for(paper: &Paper, words: &str) {
        while !paper.text().contains(words) {
            thread::yield_now();
        }
    }

    #[test]
    fn what_takes_longer_shows_how_far_it_is() {
        let (paper, shown) = shown(Duration::ZERO);
        shown.measure(7);
        shown.bar.set_position(3);
        wait_for(&paper, "3/7");
        assert!(paper.text().contains("profiling"));
    }

    #[test]
    fn a_number_of_steps_may_come_later() {
        let (paper, shown) = shown(Duration::ZERO);
        wait_for(&paper, "profiling");
        assert!(!paper.text().contains("0/"));
        let progress = Progress { shown: Some(shown) };
        progress.set(3, 9);
        wait_for(&paper, "3/9");
    }
}
