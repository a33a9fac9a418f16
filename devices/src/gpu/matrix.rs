//! Texts of the product of matrices: how tiles are read, multiplied and stored, unrolled for a tile's sizes.
//!
//! What lies outside is read from inside and then left out, rather than not read: so all reads of a thread are under way at
//! once.

use std::fmt::Write as _;

use super::ir::{Insert, Template};

pub(super) const MATRIX: Template = Template { name: "matrix", text: include_str!("kernels/matrix.wgsl") };

/// How the work is divided: each thread makes `tm` by `tn` elements of a tile of `bm` by `bn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tile {
    pub(super) bm: usize,
    pub(super) bn: usize,
    pub(super) tm: usize,
    pub(super) tn: usize,
    /// Steps of k that it is deep.
    pub(super) depth: usize,
}

/// Packed operands are filled up to a multiple of this along k.
pub(super) const DEPTH_MAX: usize = 32;

/// From the largest to the smallest.
pub(super) const TILES: [Tile; 5] = [
    Tile { bm: 128, bn: 128, tm: 8, tn: 8, depth: 16 },
    Tile { bm: 128, bn: 64, tm: 8, tn: 8, depth: 16 },
    Tile { bm: 64, bn: 64, tm: 8, tn: 4, depth: 16 },
    Tile { bm: 32, bn: 32, tm: 4, tn: 4, depth: 32 },
    Tile { bm: 16, bn: 64, tm: 4, tn: 4, depth: 32 },
];

impl Tile {
    pub(super) fn threads(self) -> usize {
        (self.bm / self.tm) * (self.bn / self.tn)
    }

    /// Bytes of workgroup memory.
    pub(super) fn memory(self) -> usize {
        (self.bm + 4 + self.bn) * self.depth * 4
    }

    pub(super) fn consts(self, left: Left) -> Vec<(&'static str, usize)> {
        let (threads, tx) = (self.threads(), self.bn / self.tn);
        vec![
            ("BM", self.bm),
            ("BN", self.bn),
            ("BK", self.depth),
            ("THREADS", threads),
            ("TX", tx),
            ("AW", self.left_width(left)),
        ]
    }

    /// Fours of a row of the left tile; one more where rows are written one element at a time, so that these lie in
    /// different banks.
    fn left_width(self, left: Left) -> usize {
        self.bm / 4 + usize::from(left == Left::Rows)
    }
}

/// How the left operand lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// In fours along m, each k after the other, filled up with zeros.
    Packed,
    /// In one piece along k, whose sizes are multiples of four: read so, and turned on the way into the tile.
    Rows,
    /// By a stride of m and one of k.
    Strided,
}

/// How the right operand lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// By a stride of k and one of n.
    Strided,
    /// In one piece along n, whose sizes are multiples of four: read so.
    Wide,
    /// It is made of an image: k is a channel and a place of the window, n a place of the output.
    Image,
    /// The same for a transposed convolution.
    Spread,
}

/// What is put into the template.
pub(super) fn inserts(tile: Tile, left: Left, right: Right) -> Vec<(&'static str, Insert)> {
    let functions = format!("{}\n{}", left_function(left), right_function(right));
    let texts = [
        ("functions", functions),
        ("prepare", prepare(tile, right)),
        ("accumulators", accumulators(tile)),
        ("fetch", fetch(tile, left, right)),
        ("keep", keep(tile, left)),
        ("multiply", multiply(tile, left)),
        ("store", store(tile)),
    ];
    texts.into_iter().map(|(mark, text)| (mark, Insert::Text(text))).collect()
}

fn left_function(left: Left) -> String {
    let fours = match left {
        // It is filled up with zeros along k.
        Left::Packed => return of_left("return in0[a0 + k * p.m4 + min(m / 4u, p.m4 - 1u)];"),
        Left::Rows => "let fours = in0[(a0 + min(m, p.m - 1u) * p.left_m + min(k, p.k - 4u)) / 4u];".to_owned(),
        Left::Strided => by_strides("in0", ("a0", "left_k"), ("m", "left_m")),
    };
    of_left(&format!("{fours}\n  {WITHIN_K}"))
}

fn of_left(body: &str) -> String {
    format!("fn left(a0: u32, k: u32, m: u32) -> vec4<f32> {{\n  {body}\n}}")
}

fn right_function(right: Right) -> String {
    let fours = match right {
        Right::Strided => by_strides("in1", ("b0", "right_k"), ("n", "right_n")),
        Right::Wide => "let fours = in1[(b0 + min(k, p.k - 1u) * p.right_k + min(n, p.n - 4u)) / 4u];".to_owned(),
        Right::Image => return of_image(PIXEL, '+'),
        Right::Spread => return of_image(SPREAD_PIXEL, '-'),
    };
    format!("fn right(b0: u32, k: u32, n: u32) -> vec4<f32> {{\n  {fours}\n  {WITHIN_K}\n}}")
}

/// What lies beyond the last k counts as zero.
const WITHIN_K: &str = "return select(vec4<f32>(), fours, k < p.k);";

/// Four elements of an operand, along the axis that it does not share.
fn by_strides(operand: &str, (base, k_stride): (&str, &str), (axis, stride): (&str, &str)) -> String {
    let each = |number: usize| format!("{operand}[origin + min({axis} + {number}u, last) * p.{stride}]");
    format!(
        "let origin = {base} + min(k, p.k - 1u) * p.{k_stride};
  let last = p.{axis} - 1u;
  let fours = vec4({}, {}, {}, {});",
        each(0),
        each(1),
        each(2),
        each(3)
    )
}

/// An element of an image, zero outside of it.
const PIXEL: &str = "fn pixel(origin: u32, y: i32, x: i32) -> f32 {
  let inside = y >= 0 && x >= 0 && y < i32(p.height) && x < i32(p.width);
  return select(0.0, in1[origin + select(0u, u32(y) * p.width + u32(x), inside)], inside);
}";

/// The same of an image whose elements lie as far apart as the strides say, with zeros between them.
const SPREAD_PIXEL: &str = "fn pixel(origin: u32, y: i32, x: i32) -> f32 {
  let row = y / i32(SH);
  let column = x / i32(SW);
  let whole = y >= 0 && x >= 0 && row * i32(SH) == y && column * i32(SW) == x;
  let inside = whole && row < i32(p.height) && column < i32(p.width);
  return select(0.0, in1[origin + select(0u, u32(row) * p.width + u32(column), inside)], inside);
}";

/// Four elements of an image: `k` is a channel and a place of the window, which goes on or back from the places of the output.
fn of_image(pixel: &str, way: char) -> String {
    format!(
        "{pixel}
fn right(b0: u32, k: u32, y: vec4<i32>, x: vec4<i32>) -> vec4<f32> {{
  let own = min(k, p.k - 1u);
  let origin = b0 + own / (KH * KW) * p.channel_stride;
  let at = own % (KH * KW);
  let down = y {way} i32(at / KW * DH);
  let across = x {way} i32(at % KW * DW);
  let fours = vec4(pixel(origin, down.x, across.x), pixel(origin, down.y, across.y),
    pixel(origin, down.z, across.z), pixel(origin, down.w, across.w));
  {WITHIN_K}
}}"
    )
}

/// Where in the image a thread's columns begin: the same for all k.
fn prepare(tile: Tile, right: Right) -> String {
    let place = match right {
        Right::Strided | Right::Wide => return String::new(),
        Right::Image => {
            "let y = vec4<i32>(columns / p.columns * SH) - i32(p.top);
  let x = vec4<i32>(columns % p.columns * SW) - i32(p.left);"
        }
        Right::Spread => {
            "let y = vec4<i32>(columns / p.columns) + i32(p.top);
  let x = vec4<i32>(columns % p.columns) + i32(p.left);"
        }
    };
    let fours = tile.bn / 4;
    format!(
        "let column = n0 + thread % {fours}u * 4u;
  let columns = min(vec4(column, column + 1u, column + 2u, column + 3u), vec4(p.n - 1u));
  {place}"
    )
}

fn accumulators(tile: Tile) -> String {
    let mut text = String::new();
    for row in 0..tile.tm {
        for four in 0..tile.tn / 4 {
            let _ = writeln!(text, "  var c{row}_{four} = vec4<f32>();");
        }
    }
    let (left, right) = fours(tile);
    for number in 0..left {
        let _ = writeln!(text, "  var next_a{number}: vec4<f32>;");
    }
    for number in 0..right {
        let _ = writeln!(text, "  var next_b{number}: vec4<f32>;");
    }
    text
}

/// Fours of each tile that a thread reads.
fn fours(tile: Tile) -> (usize, usize) {
    let each = |width: usize| (width * tile.depth / 4).div_ceil(tile.threads());
    (each(tile.bm), each(tile.bn))
}

/// The place of a thread's four number `number`, if the tile has one there.
fn place(tile: Tile, width: usize, number: usize) -> (String, String, String) {
    let (from, per_k) = (number * tile.threads(), width / 4);
    let at = format!("(thread + {from}u)");
    let guard = if (number + 1) * tile.threads() > width * tile.depth / 4 {
        format!("if thread + {from}u < {}u ", width * tile.depth / 4)
    } else {
        String::new()
    };
    (guard, format!("{at} / {per_k}u"), format!("{at} % {per_k}u * 4u"))
}

fn fetch(tile: Tile, left: Left, right: Right) -> String {
    let mut text = String::new();
    let (left_fours, right_fours) = fours(tile);
    for number in 0..left_fours {
        let (guard, k, m) = left_place(tile, left, number);
        let _ = writeln!(text, "    {guard}{{ next_a{number} = left(a0, k0 + {k}, m0 + {m}); }}");
    }
    for number in 0..right_fours {
        let (guard, k, n) = place(tile, tile.bn, number);
        let column = match right {
            Right::Strided | Right::Wide => format!("n0 + {n}"),
            Right::Image | Right::Spread => "y, x".to_owned(),
        };
        let _ = writeln!(text, "    {guard}{{ next_b{number} = right(b0, k0 + {k}, {column}); }}");
    }
    text
}

/// The same for the left tile: where its operand lies in one piece along k, fours go along k.
fn left_place(tile: Tile, left: Left, number: usize) -> (String, String, String) {
    let (guard, k, m) = place(tile, tile.bm, number);
    match left {
        Left::Packed | Left::Strided => (guard, k, m),
        Left::Rows => {
            let (at, per_row) = (format!("(thread + {}u)", number * tile.threads()), tile.depth / 4);
            (guard, format!("{at} % {per_row}u * 4u"), format!("{at} / {per_row}u"))
        }
    }
}

fn keep(tile: Tile, left: Left) -> String {
    let mut text = String::new();
    let (left_fours, right_fours) = fours(tile);
    for number in 0..left_fours {
        let (guard, k, m) = left_place(tile, left, number);
        let _ = match left {
            Left::Packed | Left::Strided => {
                let from = number * tile.threads();
                writeln!(text, "    {guard}{{ tile_a[thread + {from}u] = next_a{number}; }}")
            }
            Left::Rows => writeln!(
                text,
                "    {guard}{{
      let at = ({k}) * AW + ({m}) / 4u;
      let part = ({m}) % 4u;
      tile_a[at][part] = next_a{number}.x;
      tile_a[at + AW][part] = next_a{number}.y;
      tile_a[at + 2u * AW][part] = next_a{number}.z;
      tile_a[at + 3u * AW][part] = next_a{number}.w;
    }}"
            ),
        };
    }
    for number in 0..right_fours {
        let (guard, _, _) = place(tile, tile.bn, number);
        let from = number * tile.threads();
        let _ = writeln!(text, "    {guard}{{ tile_b[thread + {from}u] = next_b{number}; }}");
    }
    text
}

/// A thread's rows lie in fours, half a tile apart, and so do its columns: neighbouring threads read neighbouring fours.
fn multiply(tile: Tile, left: Left) -> String {
    let mut text = String::new();
    let (rows, columns) = (tile.tm / 4, tile.tn / 4);
    for k in 0..tile.depth {
        for four in 0..rows {
            let at = k * tile.left_width(left) + four * (tile.bm / 4 / rows);
            let _ = writeln!(text, "    let a{k}_{four} = tile_a[{at}u + ty];");
        }
        for four in 0..columns {
            let at = k * tile.bn / 4 + four * (tile.bn / 4 / columns);
            let _ = writeln!(text, "    let b{k}_{four} = tile_b[{at}u + tx];");
        }
        for row in 0..tile.tm {
            let (four, part) = (row / 4, ["x", "y", "z", "w"][row % 4]);
            for column in 0..columns {
                let sum = format!("c{row}_{column}");
                let _ = writeln!(text, "    {sum} = fma(vec4(a{k}_{four}.{part}), b{k}_{column}, {sum});");
            }
        }
    }
    text
}

fn store(tile: Tile) -> String {
    let mut text = String::new();
    let (rows, columns) = (tile.tm / 4, tile.tn / 4);
    for row in 0..tile.tm {
        let at = row / 4 * (tile.bm / rows) + row % 4;
        let _ = writeln!(text, "  if m0 + ty * 4u + {at}u < p.m {{\n    let row = line + m0 + ty * 4u + {at}u;");
        for column in 0..columns {
            for part in 0..4 {
                let at = column * (tile.bn / columns) + part;
                let value = format!("c{row}_{column}.{}", ["x", "y", "z", "w"][part]);
                let _ =
                    writeln!(text, "    if n0 + tx * 4u + {at}u < p.n {{ put(row, n0 + tx * 4u + {at}u, {value}); }}");
            }
        }
        text.push_str("  }\n");
    }
    text
}
