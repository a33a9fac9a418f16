//! What the cells have shown, as Markdown.

use super::cell::Cell;

/// A plan this much slower than the fastest, or than the best single place, counts as a failure.
const BAR: f64 = 1.05;

impl Cell {
    /// How much slower the plan is than the fastest: 1 is as fast.
    fn regret(&self) -> f64 {
        self.plan_ms / self.best_ms
    }

    fn best_place_ms(&self) -> f64 {
        let places = &self.places;
        let server = [Some(places.server_raw_ms), places.server_jpeg_ms, places.server_webp_ms];
        let allowed = server.into_iter().flatten().filter(|_| !places.inputs_stay);
        allowed.fold(places.device_ms, f64::min)
    }

    fn error(&self) -> f64 {
        (self.predicted_ms / self.plan_ms - 1.0).abs()
    }
}

/// Links like the 3G, LTE and Wi-Fi of Kang et al., Neurosurgeon, ASPLOS 2017: 1.1, 5.85 and 18.88 Mbit/s up.
const NEUROSURGEON: [&str; 3] = ["1 Mbit/s", "5 Mbit/s", "20 Mbit/s"];

/// One line of progress.
pub(crate) fn line(cell: &Cell) -> String {
    format!(
        "{}, {}, {}: {} takes {:.1} ms ({:.1} predicted); the fastest of {} ({} run) is {} with {:.1} ms",
        cell.model,
        cell.device,
        cell.link,
        cell.decision,
        cell.plan_ms,
        cell.predicted_ms,
        cell.candidates,
        cell.run,
        cell.best,
        cell.best_ms
    )
}

/// The sums, then a row a cell.
pub(crate) fn markdown(cells: &[Cell]) -> String {
    let mut lines = summary(cells);
    lines.push(String::new());
    lines.push(
        "| model | device | link | layers on the device | predicted ms | measured ms | fastest ms | regret | on device ms \
         | on server, raw ms | as JPEG ms | as WebP ms |"
            .to_owned(),
    );
    lines.push("|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned());
    lines.extend(cells.iter().map(row));
    lines.join("\n") + "\n"
}

fn row(cell: &Cell) -> String {
    let picture = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.1}"));
    format!(
        "| {} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} % | {:.1} | {:.1} | {} | {} |",
        cell.model,
        cell.device,
        cell.link,
        cell.decision,
        cell.predicted_ms,
        cell.plan_ms,
        cell.best_ms,
        (cell.regret() - 1.0) * 100.0,
        cell.places.device_ms,
        cell.places.server_raw_ms,
        picture(cell.places.server_jpeg_ms),
        picture(cell.places.server_webp_ms)
    )
}

/// What the plan is held against, and its milliseconds in a cell.
type Gain<'a> = (&'a str, &'a dyn Fn(&Cell) -> Option<f64>);

fn summary(cells: &[Cell]) -> Vec<String> {
    let count = cells.len();
    let within = cells.iter().filter(|cell| cell.regret() <= BAR).count();
    let worse = cells.iter().filter(|cell| cell.plan_ms > cell.best_place_ms() * BAR).count();
    let share = |part: usize| 100.0 * part as f64 / count.max(1) as f64;
    let mut errors: Vec<f64> = cells.iter().map(Cell::error).collect();
    errors.sort_by(f64::total_cmp);
    let median = errors.get(count / 2).copied().unwrap_or(f64::NAN) * 100.0;
    let largest = cells.iter().map(Cell::regret).fold(1.0, f64::max);
    let mut lines = vec![
        format!("- {count} cells; the plan is within 5 % of the fastest in {within} ({:.1} %)", share(within)),
        format!("- largest regret {:.1} %", (largest - 1.0) * 100.0),
        format!("- worse than the best single place by more than 5 %: {worse}"),
        format!("- median error of the predicted latency {median:.1} %"),
    ];
    // Where inputs must stay nothing else than the device is a choice.
    let free = |cell: &Cell, ms: Option<f64>| ms.filter(|_| !cell.places.inputs_stay);
    let published = |cell: &Cell| NEUROSURGEON.iter().any(|link| cell.link.starts_with(link));
    let gains: [Gain<'_>; 5] = [
        ("the best single place", &|cell| Some(cell.best_place_ms())),
        ("all on the device", &|cell| Some(cell.places.device_ms)),
        ("all on the server, raw input", &|cell| free(cell, Some(cell.places.server_raw_ms))),
        ("all on the server, JPEG input", &|cell| free(cell, cell.places.server_jpeg_ms)),
        ("all on the server, raw input, over 1, 5 and 20 Mbit/s", &|cell| {
            free(cell, published(cell).then_some(cell.places.server_raw_ms))
        }),
    ];
    for (name, of) in gains {
        let ratios: Vec<f64> = cells.iter().filter_map(|cell| Some(of(cell)? / cell.plan_ms)).collect();
        if !ratios.is_empty() {
            let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
            let most = ratios.iter().copied().fold(0.0, f64::max);
            lines.push(format!("- against {name}: {mean:.2} x as fast (geometric mean), {most:.1} x at most"));
        }
    }
    lines
}
