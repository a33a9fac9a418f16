//! Which samples are fitted to, and which others are measured.

/// Samples that books are fitted to. Only a [`Split`] makes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitting<S>(Vec<S>);

/// Samples that books are measured on. Only a [`Split`] makes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Held<S>(Vec<S>);

/// Samples in two parts that have none in common, not even by content.
#[derive(Debug, Clone, PartialEq)]
pub struct Split<S> {
    /// What is fitted to.
    pub fitting: Fitting<S>,
    /// What is measured.
    pub held: Held<S>,
    /// How many samples are in neither, because they equal one that is measured.
    pub left_out: usize,
}

impl<S> Fitting<S> {
    /// In the order in which they were given.
    pub fn all(&self) -> &[S] {
        &self.0
    }
}

impl<S> Held<S> {
    /// In the order in which they were given.
    pub fn all(&self) -> &[S] {
        &self.0
    }
}

impl<S: PartialEq> Split<S> {
    /// Every third sample is held, from the third on, and the others are fitted to.
    pub fn thirds(samples: Vec<S>) -> Self {
        let (mut fitting, mut held) = (Vec::new(), Vec::new());
        for (at, sample) in samples.into_iter().enumerate() {
            if at % 3 == 2 { held.push(sample) } else { fitting.push(sample) }
        }
        Self::apart(fitting, held)
    }

    /// These samples are held. Of the others those are fitted to that equal none of them.
    pub fn apart(mut fitting: Vec<S>, held: Vec<S>) -> Self {
        let all = fitting.len();
        fitting.retain(|sample| !held.contains(sample));
        Self { left_out: all - fitting.len(), fitting: Fitting(fitting), held: Held(held) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_third_is_held() {
        let split = Split::thirds((0..8).collect());
        assert_eq!((split.fitting.all(), split.held.all()), ([0, 1, 3, 4, 6, 7].as_slice(), [2, 5].as_slice()));
        assert_eq!(split.left_out, 0);
    }

    proptest! {
        #[test]
        fn no_sample_is_in_both(
            samples in proptest::collection::vec(0_u8..20, 0..30),
            others in proptest::collection::vec(0_u8..20, 0..9),
        ) {
            for split in [Split::thirds(samples.clone()), Split::apart(samples.clone(), others.clone())] {
                let both = split.fitting.all().iter().find(|sample| split.held.all().contains(sample));
                prop_assert_eq!(both, None, "the same content counts as the same sample");
            }
            let split = Split::apart(samples.clone(), others.clone());
            prop_assert_eq!(split.fitting.all().len() + split.left_out, samples.len());
            prop_assert_eq!(split.held.all(), others.as_slice());
        }
    }
}
