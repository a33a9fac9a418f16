//! Minimum cuts of the networks that [`crate::cut`] builds.
//!
//! Push-relabel with highest labels (Goldberg and Tarjan, Journal of the ACM 35(4), 1988), gaps and global relabelling
//! (Cherkassky and Goldberg, Algorithmica 19(4), 1997), up to the preflow: its nodes that do not reach the sink any
//! more are a minimum cut, and it does not matter how what they hold gets back. The networks are long and thin, and
//! most nodes have an arc from the source or to the sink. So flow moves along the model in bulk and leaves a part at
//! each node, where algorithms of augmenting paths walk the whole way again for each part. Arcs from the source and to
//! the sink are numbers of their node.
//!
//! Nodes are merged that no minimum cut can part: no more flows than the source has or the sink takes, so where arcs of
//! more than that lead both ways, both ends are on one side (a bound as in the tests of Padberg and Rinaldi,
//! Mathematical Programming 47, 1990). On slow links that is most of a model before anything flows; where much had to
//! be moved it is done again with what is left.
//!
//! Dinic's algorithm in petgraph 0.8.3 takes 4 to 60 times as long for ResNet-50 on three tiers, and up to 3 s for
//! 10,000 layers where this takes 2 ms.

/// The capacity of an arc that no cut may pay for. Where all finite capacities together are less, a cut of this much or
/// more is none.
pub(crate) const UNBOUNDED: u64 = 1 << 60;

/// The end of a list of nodes.
const NONE: u32 = u32::MAX;

/// A network between a source and a sink, and after [`Network::min_cut`] the side of each node.
#[derive(Default)]
pub(crate) struct Network {
    /// By node: what the source brings; later what has come and not yet gone on.
    excess: Vec<u64>,
    /// By node: what the sink takes; later what it would still take.
    drain: Vec<u64>,
    arcs: Vec<Arc>,
    /// By node: the one that stands for it and for all that it is merged with.
    merged: Vec<u32>,
    /// By node: its first half-arc; those of the next node follow.
    first: Vec<u32>,
    halves: Vec<Half>,
    /// By node: a lower bound of the arcs that are left to the sink; [`Network::cut_off`] where none lead there.
    heights: Vec<u32>,
    /// By node: the half-arc that is tried next.
    current: Vec<u32>,
    /// By height: how many nodes have it.
    count: Vec<u32>,
    /// By height: the first of the nodes there that have excess; by node: the one after it.
    active: Vec<u32>,
    after: Vec<u32>,
    /// No node above has excess that can reach the sink.
    highest: usize,
    /// Half-arcs that were looked at since all heights were exact.
    looked: usize,
    queue: Vec<u32>,
    /// Nodes in the order in which a walk has left them.
    left: Vec<u32>,
}

/// An arc as it was given, later between merged nodes, with what it carries the other way.
struct Arc {
    ends: [u32; 2],
    capacities: [u64; 2],
}

/// One direction of an arc, as its tail sees it.
#[derive(Clone, Copy, Default)]
struct Half {
    residual: u64,
    head: u32,
    /// The other direction, among the head's half-arcs.
    mate: u32,
}

impl Network {
    /// Starts again with so many nodes and no arcs.
    pub(crate) fn reset(&mut self, nodes: usize) {
        for terminal in [&mut self.excess, &mut self.drain] {
            terminal.clear();
            terminal.resize(nodes, 0);
        }
        self.arcs.clear();
    }

    /// Another node.
    pub(crate) fn node(&mut self) -> usize {
        self.excess.push(0);
        self.drain.push(0);
        self.excess.len() - 1
    }

    /// A cost of having `node` on the sink's side.
    pub(crate) fn source_arc(&mut self, node: usize, capacity: u64) {
        self.excess[node] = self.excess[node].saturating_add(capacity);
    }

    /// A cost of having `node` on the source's side.
    pub(crate) fn sink_arc(&mut self, node: usize, capacity: u64) {
        self.drain[node] = self.drain[node].saturating_add(capacity);
    }

    /// A cost of having `tail` on the source's side and `head` on the sink's, and another of the reverse.
    pub(crate) fn arc(&mut self, tail: usize, head: usize, capacity: u64, back: u64) {
        self.arcs.push(Arc { ends: [tail as u32, head as u32], capacities: [capacity, back] });
    }

    /// Whether a node is on the source's side of the minimum cut that has the most nodes there.
    pub(crate) fn on_source_side(&self, node: usize) -> bool {
        self.heights[self.merged[node] as usize] == self.cut_off()
    }

    /// The least capacity of a cut; [`UNBOUNDED`] or more where each one cuts an unbounded arc.
    ///
    /// The sides are known after it if the cut is bounded.
    pub(crate) fn min_cut(&mut self) -> u64 {
        self.merged.clear();
        self.merged.extend(0..self.excess.len() as u32);
        let mut flow = self.merge();
        self.relabel_all();
        while let Some(node) = self.next_active().filter(|_| flow < UNBOUNDED) {
            flow = flow.saturating_add(self.discharge(node));
            if self.looked > 4 * self.halves.len() + 8 * self.excess.len() {
                self.relabel_all();
                self.leave_out();
                flow = flow.saturating_add(self.merge());
                self.relabel_all();
            }
        }
        self.relabel_all();
        flow
    }

    /// The height of nodes that do not reach the sink: one more than the longest way there.
    fn cut_off(&self) -> u32 {
        self.excess.len() as u32 + 1
    }

    /// Makes the network what is left of it when all heights are exact: residuals, and excess that can reach the sink.
    fn leave_out(&mut self) {
        let cut_off = self.cut_off();
        let heights = self.heights.iter();
        self.excess
            .iter_mut()
            .zip(heights)
            .filter(|(_, height)| **height == cut_off)
            .for_each(|(excess, _)| *excess = 0);
        self.arcs.clear();
        for (_, half) in self.halves.iter().enumerate().filter(|(at, half)| *at < half.mate as usize) {
            let back = self.halves[half.mate as usize];
            self.arcs.push(Arc { ends: [back.head, half.head], capacities: [half.residual, back.residual] });
        }
    }

    /// Merges nodes that no minimum cut parts, and lays out what is left; the flow that goes straight from the source
    /// to the sink at each.
    fn merge(&mut self) -> u64 {
        let (mut flow, mut done) = (0_u64, false);
        loop {
            let (mut excess, mut drain) = (0_u64, 0_u64);
            for (brings, takes) in self.excess.iter_mut().zip(&mut self.drain) {
                let straight = (*brings).min(*takes);
                (*brings, *takes) = (*brings - straight, *takes - straight);
                flow = flow.saturating_add(straight);
                (excess, drain) = (excess.saturating_add(*brings), drain.saturating_add(*takes));
            }
            self.lay_out();
            if done {
                return flow;
            }
            // No flow beyond what goes straight is larger than the less of both.
            let merges = self.merge_cycles(excess.min(drain));
            if merges == 0 {
                return flow;
            }
            // What a round merges may go straight, so that the next one merges more.
            done = merges * 8 < self.excess.len();
        }
    }

    /// Merges nodes between which arcs of more than `most` lead both ways; how many others stand for now.
    ///
    /// Strongly connected components: those that lead to the node that a depth-first walk leaves last (Sharir,
    /// Computers and Mathematics with Applications 7(1), 1981).
    fn merge_cycles(&mut self, most: u64) -> usize {
        let nodes = self.excess.len();
        self.left.clear();
        self.after.clear();
        self.after.resize(nodes, NONE);
        self.current.clear();
        self.current.extend_from_slice(&self.first[..nodes]);
        for root in 0..nodes as u32 {
            if self.after[root as usize] == NONE {
                self.walk(root, most);
            }
        }
        // From here on: by node, the one that stands for it.
        let component = &mut self.after;
        component.fill(NONE);
        let mut merges = 0;
        while let Some(root) = self.left.pop() {
            if component[root as usize] != NONE {
                continue;
            }
            component[root as usize] = root;
            self.queue.clear();
            self.queue.push(root);
            while let Some(node) = self.queue.pop() {
                for half in &self.halves[self.first[node as usize] as usize..self.first[node as usize + 1] as usize] {
                    let tail = half.head as usize;
                    if component[tail] == NONE && self.halves[half.mate as usize].residual > most {
                        component[tail] = root;
                        merges += 1;
                        self.queue.push(half.head);
                        for terminal in [&mut self.excess, &mut self.drain] {
                            let moved = std::mem::take(&mut terminal[tail]);
                            terminal[root as usize] = terminal[root as usize].saturating_add(moved);
                        }
                    }
                }
            }
        }
        if merges > 0 {
            self.merged.iter_mut().for_each(|node| *node = component[*node as usize]);
            self.arcs.iter_mut().for_each(|arc| arc.ends = arc.ends.map(|end| component[end as usize]));
            self.arcs.retain(|arc| arc.ends[0] != arc.ends[1]);
        }
        merges
    }

    /// Walks depth first over arcs of more than `most`, and notes nodes as it leaves them.
    fn walk(&mut self, root: u32, most: u64) {
        self.after[root as usize] = root;
        self.queue.clear();
        self.queue.push(root);
        while let Some(node) = self.queue.last().copied() {
            let at = self.current[node as usize];
            if at == self.first[node as usize + 1] {
                self.queue.pop();
                self.left.push(node);
                continue;
            }
            self.current[node as usize] += 1;
            let Half { residual, head, .. } = self.halves[at as usize];
            if residual > most && self.after[head as usize] == NONE {
                self.after[head as usize] = root;
                self.queue.push(head);
            }
        }
    }

    /// Sorts all half-arcs by their tails.
    fn lay_out(&mut self) {
        let nodes = self.excess.len();
        self.first.clear();
        self.first.resize(nodes + 1, 0);
        for end in self.arcs.iter().flat_map(|arc| arc.ends) {
            self.first[end as usize] += 1;
        }
        let mut sum = 0;
        for first in &mut self.first {
            sum += *first;
            *first = sum;
        }
        self.halves.clear();
        self.halves.resize(2 * self.arcs.len(), Half::default());
        // From its end each node's range fills up to its beginning.
        for Arc { ends: [tail, head], capacities } in self.arcs.iter().rev() {
            let [there, back] = [tail, head].map(|end| {
                self.first[*end as usize] -= 1;
                self.first[*end as usize]
            });
            self.halves[there as usize] = Half { residual: capacities[0], head: *head, mate: back };
            self.halves[back as usize] = Half { residual: capacities[1], head: *tail, mate: there };
        }
    }

    /// Makes all heights exact: breadth first from the sink.
    fn relabel_all(&mut self) {
        let (nodes, cut_off) = (self.excess.len(), self.cut_off());
        for (list, value) in [(&mut self.heights, cut_off), (&mut self.after, NONE)] {
            list.clear();
            list.resize(nodes, value);
        }
        for (list, value) in [(&mut self.count, 0), (&mut self.active, NONE)] {
            list.clear();
            list.resize(nodes + 2, value);
        }
        self.current.clear();
        self.current.extend_from_slice(&self.first[..nodes]);
        self.queue.clear();
        self.queue.extend((0..nodes as u32).filter(|node| self.drain[*node as usize] > 0));
        self.queue.iter().for_each(|node| self.heights[*node as usize] = 1);
        (self.highest, self.looked) = (0, 0);
        let mut next = 0;
        while let Some(node) = self.queue.get(next).map(|node| *node as usize) {
            next += 1;
            let height = self.heights[node];
            self.count[height as usize] += 1;
            if self.excess[node] > 0 {
                self.activate(node);
            }
            for half in &self.halves[self.first[node] as usize..self.first[node + 1] as usize] {
                let tail = half.head as usize;
                if self.heights[tail] == cut_off && self.halves[half.mate as usize].residual > 0 {
                    self.heights[tail] = height + 1;
                    self.queue.push(half.head);
                }
            }
        }
    }

    fn activate(&mut self, node: usize) {
        let height = self.heights[node] as usize;
        self.after[node] = std::mem::replace(&mut self.active[height], node as u32);
        self.highest = self.highest.max(height);
    }

    /// Takes a node of those that have excess and are the highest.
    fn next_active(&mut self) -> Option<usize> {
        while self.highest > 0 {
            let node = self.active[self.highest];
            if node != NONE {
                self.active[self.highest] = self.after[node as usize];
                return Some(node as usize);
            }
            self.highest -= 1;
        }
        None
    }

    /// Moves a node's excess down until none is left or no way leads to the sink; what it gives to the sink itself.
    fn discharge(&mut self, node: usize) -> u64 {
        let drained = self.excess[node].min(self.drain[node]);
        self.drain[node] -= drained;
        self.excess[node] -= drained;
        while self.excess[node] > 0 {
            if self.current[node] < self.first[node + 1] {
                self.push(node);
            } else if !self.relabel(node) {
                break;
            }
        }
        drained
    }

    /// Moves what the current half-arc takes, or goes on to the next one.
    fn push(&mut self, node: usize) {
        let at = self.current[node] as usize;
        let half = self.halves[at];
        let head = half.head as usize;
        if half.residual == 0 || self.heights[node] != self.heights[head] + 1 {
            self.current[node] += 1;
            self.looked += 1;
            return;
        }
        let amount = half.residual.min(self.excess[node]);
        // An unbounded arc stays unbounded.
        if half.residual < UNBOUNDED {
            self.halves[at].residual -= amount;
        }
        let back = &mut self.halves[half.mate as usize].residual;
        *back = back.saturating_add(amount);
        self.excess[node] -= amount;
        if self.excess[head] == 0 {
            self.activate(head);
        }
        self.excess[head] = self.excess[head].saturating_add(amount);
    }

    /// Lifts a node above its lowest neighbour; false where no way to the sink is left.
    fn relabel(&mut self, node: usize) -> bool {
        let range = self.first[node] as usize..self.first[node + 1] as usize;
        self.looked += range.len();
        let (cut_off, old) = (self.cut_off(), self.heights[node]);
        let open = self.halves[range].iter().filter(|half| half.residual > 0);
        let lowest = open.map(|half| self.heights[half.head as usize]).min().unwrap_or(cut_off);
        self.count[old as usize] -= 1;
        // Where no node has this height any more, all ways down from above are closed.
        let gap = self.count[old as usize] == 0;
        let height = if gap { cut_off } else { (lowest + 1).min(cut_off) };
        self.heights[node] = height;
        if height == cut_off {
            return false;
        }
        self.count[height as usize] += 1;
        self.current[node] = self.first[node];
        true
    }
}

#[cfg(test)]
mod tests;
