//! Quantities with their units: bytes, bandwidths, multiply-adds, durations, energies, prices and losses of accuracy.
//!
//! In files and on the command line a quantity is a number, a space and a unit: `"512 MiB"`, `"5 Mbit/s"`, `"20 ms"`.
//! Decimal prefixes count in 1000s, binary ones (`KiB`, `MiB`, `GiB`) in 1024s.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not a quantity of the kind that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a {kind}: write a number, a space and one of {units}, such as \"{example}\"")]
pub struct QuantityError {
    /// What was read.
    pub text: String,
    /// What was expected: `size`, `bandwidth`, …
    pub kind: &'static str,
    /// The units that are known.
    pub units: String,
    /// A value that would do.
    pub example: &'static str,
}

/// One kind of quantity: its units, largest first, with what one of each is in the base unit.
struct Kind {
    name: &'static str,
    example: &'static str,
    units: &'static [(&'static str, f64)],
}

impl Kind {
    /// The value of `text` in the base unit, never negative and always finite.
    fn parse(&self, text: &str) -> Result<f64, QuantityError> {
        let error = || QuantityError {
            text: text.to_owned(),
            kind: self.name,
            units: self.units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", "),
            example: self.example,
        };
        let trimmed = text.trim();
        let unit_at = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let (number, unit) = trimmed.split_at(unit_at);
        let number: f64 = number.parse().map_err(|_| error())?;
        let (_, scale) = self.units.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(error)?;
        let value = number * scale;
        if value.is_finite() && value < u64::MAX as f64 { Ok(value) } else { Err(error()) }
    }

    /// Three significant digits in the largest unit that is not above the value.
    fn print(&self, value: f64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, scale): &&(&str, f64)| value >= *scale * 0.9995;
        let smallest = || self.units.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        let Some((unit, scale)) = self.units.iter().find(fits).or_else(smallest) else { return Err(fmt::Error) };
        let number = value / scale;
        let digits = match number {
            n if n >= 99.95 || n == n.trunc() => 0,
            n if n >= 9.995 => 1,
            _ => 2,
        };
        write!(out, "{number:.digits$} {unit}")
    }
}

/// Printed sizes are decimal; binary units are read too, after the decimal ones.
const SIZE: Kind = Kind {
    name: "size",
    example: "512 MiB",
    units: &[
        ("GB", 1e9),
        ("MB", 1e6),
        ("kB", 1e3),
        ("B", 1.0),
        ("GiB", 1073741824.0),
        ("MiB", 1048576.0),
        ("KiB", 1024.0),
    ],
};

const BANDWIDTH: Kind = Kind {
    name: "bandwidth",
    example: "5 Mbit/s",
    units: &[("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3), ("bit/s", 1.0)],
};

const MACS: Kind = Kind {
    name: "number of multiply-adds",
    example: "385 MMAC",
    units: &[("TMAC", 1e12), ("GMAC", 1e9), ("MMAC", 1e6), ("kMAC", 1e3), ("MAC", 1.0)],
};

const MAC_RATE: Kind = Kind {
    name: "rate of multiply-adds",
    example: "8 GMAC/s",
    units: &[("TMAC/s", 1e12), ("GMAC/s", 1e9), ("MMAC/s", 1e6)],
};

const BYTE_RATE: Kind =
    Kind { name: "memory bandwidth", example: "4 GB/s", units: &[("TB/s", 1e12), ("GB/s", 1e9), ("MB/s", 1e6)] };

const DURATION: Kind = Kind {
    name: "duration",
    example: "20 ms",
    units: &[("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0), ("min", 60e9), ("µs", 1e3)],
};

const ENERGY: Kind = Kind {
    name: "quantity of energy",
    example: "20 mJ",
    units: &[("J", 1e9), ("mJ", 1e6), ("uJ", 1e3), ("nJ", 1.0), ("µJ", 1e3)],
};

const PRICE: Kind = Kind {
    name: "price of a request",
    example: "2.5 per million",
    units: &[("per request", 1e9), ("per thousand", 1e6), ("per million", 1e3), ("per billion", 1.0)],
};

const LOSS: Kind = Kind { name: "loss of accuracy", example: "0.5 %", units: &[("%", 1e4), ("ppm", 1.0)] };

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl FromStr for $name {
            type Err = QuantityError;
            fn from_str(text: &str) -> Result<Self, QuantityError> {
                Ok(Self($kind.parse(text)?.round() as u64))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                $kind.print(self.0 as f64, out)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Written(str::parse))
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
                Self(values.fold(0, |sum, value| sum.saturating_add(value.0)))
            }
        }
    };
}

quantity!(
    /// A number of bytes.
    Bytes, SIZE
);
quantity!(
    /// Bits a second.
    Bandwidth, BANDWIDTH
);
quantity!(
    /// Multiply-adds: one is two floating-point operations.
    Macs, MACS
);
quantity!(
    /// Multiply-adds a second.
    MacRate, MAC_RATE
);
quantity!(
    /// Bytes a second that memory delivers.
    ByteRate, BYTE_RATE
);

quantity!(
    /// Nanojoules.
    Energy, ENERGY
);
quantity!(
    /// What one request costs, in billionths of a currency that the user chooses.
    Price, PRICE
);
quantity!(
    /// Accuracy that is lost, in millionths: one percentage point of top-1 is 10,000.
    Loss, LOSS
);

impl Bandwidth {
    /// How long `bytes` take to be put on a link of this bandwidth, in whole nanoseconds and never too short; for ever
    /// on one of zero.
    pub fn time_for(self, bytes: Bytes) -> Duration {
        const BITS_NANOS: u64 = 8_000_000_000;
        if self.0 == 0 {
            return Duration::MAX;
        }
        let nanos = match bytes.0.checked_mul(BITS_NANOS) {
            Some(bits) => bits.div_ceil(self.0),
            None => u64::try_from((u128::from(bytes.0) * u128::from(BITS_NANOS)).div_ceil(self.0.into()))
                .unwrap_or(u64::MAX),
        };
        Duration::from_nanos(nanos)
    }
}

/// Reads a quantity from its written form with this parser.
struct Written<T>(fn(&str) -> Result<T, QuantityError>);

impl<T> serde::de::Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a quantity in quotes with its unit, such as \"5 Mbit/s\", \"512 MiB\" or \"20 ms\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// Reads a duration such as `"20 ms"`.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    Ok(Duration::from_nanos(DURATION.parse(text)?.round() as u64))
}

/// Prints a duration with three significant digits: `12.3 ms`.
pub fn print_duration(duration: Duration) -> String {
    struct Printed(Duration);
    impl fmt::Display for Printed {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            DURATION.print(self.0.as_nanos() as f64, out)
        }
    }
    Printed(duration).to_string()
}

/// For `#[serde(with = "duration")]`: a duration is written with its unit in files.
pub mod duration {
    use super::{Deserializer, Duration, Serializer, Written, parse_duration, print_duration};

    /// Writes `"20 ms"`.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&print_duration(*duration))
    }

    /// Reads `"20 ms"`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_str(Written(parse_duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!("512 MiB".parse(), Ok(Bytes(512 << 20)));
        assert_eq!("1.5kB".parse(), Ok(Bytes(1500)));
        assert_eq!("5 Mbit/s".parse(), Ok(Bandwidth(5_000_000)));
        assert_eq!(parse_duration("0.3 ms"), Ok(Duration::from_micros(300)));
        assert_eq!(parse_duration("2 min"), Ok(Duration::from_secs(120)));
    }

    #[test]
    fn refuses_what_has_no_unit_sign_or_sense() {
        for text in [
            "",
            "5",
            "Mbit/s",
            "-5 Mbit/s",
            "5 Mbit",
            "1e3 kbit/s",
            "1.2.3 bit/s",
            "99999999999999 Gbit/s",
            "nan bit/s",
        ] {
            assert!(text.parse::<Bandwidth>().is_err(), "{text:?} was read as a bandwidth");
        }
    }

    #[test]
    fn prints_three_digits() {
        let printed = [0, 7, 999, 1000, 12_345, 999_960, 17_700_000].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(printed, ["0 B", "7 B", "999 B", "1 kB", "12.3 kB", "1.00 MB", "17.7 MB"]);
        assert_eq!(print_duration(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(print_duration(Duration::ZERO), "0 ns");
    }

    #[test]
    fn sums_stop_at_the_largest_number() {
        assert_eq!([Bytes(u64::MAX), Bytes(9)].into_iter().sum::<Bytes>(), Bytes(u64::MAX));
    }

    #[test]
    fn an_empty_link_never_delivers() {
        assert_eq!(Bandwidth(0).time_for(Bytes(1)), Duration::MAX);
        assert_eq!(Bandwidth(8_000_000).time_for(Bytes(1000)), Duration::from_millis(1));
    }
}
