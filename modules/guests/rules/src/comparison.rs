//! Comparisons with numbers.

use crate::RulesError;

/// One comparison or several, which all must hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison(Vec<(Sign, f64)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Other,
}

/// Longer signs before those that they begin with.
const SIGNS: [(&str, Sign); 6] = [
    ("<=", Sign::AtMost),
    (">=", Sign::AtLeast),
    ("!=", Sign::Other),
    ("<", Sign::Less),
    (">", Sign::More),
    ("=", Sign::Equal),
];

impl Comparison {
    /// Reads text such as `>= 0.1 and < 0.5`; `place` is what errors call it.
    pub(crate) fn read(text: &str, place: &str) -> Result<Self, RulesError> {
        let one = |part: &str| {
            let part = part.trim();
            let found = SIGNS.iter().find_map(|(sign, is)| Some((*is, part.strip_prefix(sign)?)));
            let number = found.and_then(|(sign, rest)| Some((sign, rest.trim().parse::<f64>().ok()?)));
            number
                .filter(|(_, number)| number.is_finite())
                .ok_or_else(|| RulesError::Comparison { place: place.to_owned(), part: part.to_owned() })
        };
        Ok(Self(text.split(" and ").map(one).collect::<Result<_, _>>()?))
    }

    /// At least one.
    pub(crate) fn some() -> Self {
        Self(vec![(Sign::AtLeast, 1.0)])
    }

    pub(crate) fn holds(&self, value: f64) -> bool {
        self.0.iter().all(|(sign, number)| match sign {
            Sign::Less => value < *number,
            Sign::AtMost => value <= *number,
            Sign::More => value > *number,
            Sign::AtLeast => value >= *number,
            Sign::Equal => value == *number,
            Sign::Other => value != *number,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn signs_mean_what_they_say() {
        for (text, holds) in [
            ("< 2", [true, false, false]),
            ("<=2", [true, true, false]),
            ("> 2.0", [false, false, true]),
            (" >= 2e0 ", [false, true, true]),
            ("= 2", [false, true, false]),
            ("!= 2", [true, false, true]),
            ("> 1 and < 3 and != 2.5", [false, true, false]),
        ] {
            let comparison = Comparison::read(text, "here").unwrap();
            assert_eq!([1.0, 2.0, 3.0].map(|value| comparison.holds(value)), holds, "{text}");
        }
    }

    #[test]
    fn what_is_no_comparison_is_refused() {
        for (text, part) in [
            ("", ""),
            ("person", "person"),
            ("== 2", "== 2"),
            (">= 0.5 and", ">= 0.5 and"),
            ("> 1 and 5", "5"),
            ("> NaN", "> NaN"),
            ("< inf", "< inf"),
            ("< 1e999", "< 1e999"),
        ] {
            let error = RulesError::Comparison { place: "here".to_owned(), part: part.to_owned() };
            assert_eq!(Comparison::read(text, "here"), Err(error));
        }
    }
}
