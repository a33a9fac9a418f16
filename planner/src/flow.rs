//! Temporary.
pub(crate) const UNBOUNDED: u64 = 1 << 60;
#[derive(Default)]
pub(crate) struct Network {
    n: usize,
    arcs: Vec<(usize, usize, u64, u64)>,
    side: Vec<bool>,
}
impl Network {
    pub(crate) fn reset(&mut self, n: usize) {
        self.n = n;
        self.arcs.clear();
    }
    pub(crate) fn node(&mut self) -> usize {
        self.n += 1;
        self.n - 1
    }
    pub(crate) fn source_arc(&mut self, v: usize, c: u64) {
        self.arcs.push((usize::MAX, v, c, 0));
    }
    pub(crate) fn sink_arc(&mut self, v: usize, c: u64) {
        self.arcs.push((v, usize::MAX - 1, c, 0));
    }
    pub(crate) fn arc(&mut self, u: usize, v: usize, c: u64, b: u64) {
        self.arcs.push((u, v, c, b));
    }
    pub(crate) fn on_source_side(&self, v: usize) -> bool {
        self.side[v]
    }
    pub(crate) fn min_cut(&mut self) -> u64 {
        let n = self.n + 2;
        let id = |v: usize| {
            if v == usize::MAX {
                n - 2
            } else if v == usize::MAX - 1 {
                n - 1
            } else {
                v
            }
        };
        let mut adj = vec![Vec::new(); n];
        let mut e: Vec<(usize, u64)> = Vec::new();
        for (u, v, c, b) in &self.arcs {
            let (u, v) = (id(*u), id(*v));
            adj[u].push(e.len());
            e.push((v, *c));
            adj[v].push(e.len());
            e.push((u, *b));
        }
        let (s, t) = (n - 2, n - 1);
        let mut total = 0u64;
        loop {
            let mut prev = vec![usize::MAX; n];
            let mut seen = vec![false; n];
            seen[s] = true;
            let mut q = std::collections::VecDeque::from([s]);
            while let Some(u) = q.pop_front() {
                for &i in &adj[u] {
                    let (v, c) = e[i];
                    if c > 0 && !seen[v] {
                        seen[v] = true;
                        prev[v] = i;
                        q.push_back(v);
                    }
                }
            }
            if !seen[t] || total >= UNBOUNDED {
                break;
            }
            let (mut f, mut v) = (u64::MAX, t);
            while v != s {
                f = f.min(e[prev[v]].1);
                v = e[prev[v] ^ 1].0;
            }
            v = t;
            while v != s {
                e[prev[v]].1 -= f;
                e[prev[v] ^ 1].1 = e[prev[v] ^ 1].1.saturating_add(f);
                v = e[prev[v] ^ 1].0;
            }
            total = total.saturating_add(f);
        }
        let mut reach = vec![false; n];
        reach[t] = true;
        let mut q = vec![t];
        while let Some(v) = q.pop() {
            for &i in &adj[v] {
                let u = e[i].0;
                if e[i ^ 1].1 > 0 && !reach[u] {
                    reach[u] = true;
                    q.push(u);
                }
            }
        }
        self.side = reach.iter().map(|r| !r).collect();
        total
    }
}
