//! One direction of a link: messages one after the other, at a rate that may change under way.

use std::collections::VecDeque;
use std::time::Duration;

use thalweg_flow::Refusal;
use thalweg_planner::Bytes;

/// What crosses a link.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The try that it belongs to; none for a probe.
    pub(crate) about: Option<u64>,
    /// The hop that gets it.
    pub(crate) hop: usize,
    pub(crate) says: Says,
    pub(crate) payload: Bytes,
}

#[derive(Debug, Clone)]
pub(crate) enum Says {
    Open,
    Answer,
    Refuse(Refusal),
    Probe,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) nominal: f64,
    /// Bits a second; zero while it is cut.
    pub(crate) rate: f64,
    pub(crate) loss: f64,
    pub(crate) delay: Duration,
    queue: VecDeque<Message>,
    left_bits: f64,
    counted: Duration,
    /// When the first message began.
    pub(crate) begun: Duration,
    /// Raised whenever the first message will end at another time than was said.
    pub(crate) generation: u64,
}

impl Pipe {
    pub(crate) fn new(nominal: f64, delay: Duration) -> Self {
        let (counted, begun) = (Duration::ZERO, Duration::ZERO);
        let queue = VecDeque::new();
        Self { nominal, rate: nominal, loss: 0.0, delay, queue, left_bits: 0.0, counted, begun, generation: 0 }
    }

    pub(crate) fn head(&self) -> Option<&Message> {
        self.queue.front()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether the message is the first one, so that its end has to be awaited.
    pub(crate) fn push(&mut self, message: Message, now: Duration) -> bool {
        self.queue.push_back(message);
        let first = self.queue.len() == 1;
        if first {
            self.begin(now);
        }
        first
    }

    /// Takes out the first message, which has ended.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Message> {
        let message = self.queue.pop_front();
        self.begin(now);
        message
    }

    /// Takes out what is not wanted any more, on its way or not.
    pub(crate) fn keep(&mut self, keeps: impl Fn(&Message) -> bool, now: Duration) {
        let first_stays = self.queue.front().is_none_or(&keeps);
        self.queue.retain(keeps);
        if !first_stays {
            self.begin(now);
        }
    }

    pub(crate) fn set(&mut self, rate: f64, now: Duration) {
        self.left_bits -= self.rate * now.saturating_sub(self.counted).as_secs_f64();
        (self.counted, self.rate) = (now, rate);
        self.generation += 1;
    }

    /// When the first message ends, if the rate stays.
    pub(crate) fn ends(&self) -> Option<Duration> {
        self.queue.front()?;
        let left = self.left_bits.max(0.0) / self.rate;
        left.is_finite().then(|| self.counted + Duration::from_secs_f64(left))
    }

    fn begin(&mut self, now: Duration) {
        (self.begun, self.counted) = (now, now);
        self.generation += 1;
        // As the cost model has it: 64 bytes for each datagram of 1,416, and a header of 128.
        let payload = self.queue.front().map_or(0, |message| message.payload.0);
        self.left_bits = 8.0 * (192.0 + payload as f64 * 1480.0 / 1416.0);
    }
}
