//! A Bloom filter of a trace's texts: it knows for sure which texts and pairs of a key and a value a trace does not have.
//!
//! Each three consecutive bytes of a text, without regard to ASCII case, set one bit: a text that contains another has all of its bits. Each pair sets three.

use super::fields::number;

/// The share of a trace's bytes: a sixteenth. The filter of a trace of usual content is then about a third full.
const SHARE: usize = 16;
/// The bounds of a filter, in bytes.
const SMALLEST: usize = 64;
const LARGEST: usize = 64 * 1024;

/// The bits of a trace.
#[derive(Debug)]
pub(crate) struct Filter {
    bits: Box<[u64]>,
    /// One less than the number of bits, which is a power of two.
    mask: u64,
}

/// What a trace must have in its filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Probe {
    /// The hashes of a text's trigrams.
    Text(Vec<u64>),
    /// The hash of a pair, or of a key.
    Pair(u64),
}

impl Filter {
    /// An empty filter for a trace of `content` bytes.
    pub(crate) fn new(content: usize) -> Self {
        let bytes = (content / SHARE).clamp(SMALLEST, LARGEST).next_power_of_two();
        let bits = vec![0; bytes / 8].into_boxed_slice();
        Self { bits, mask: u64::try_from(bytes * 8 - 1).unwrap_or(u64::MAX) }
    }

    pub(crate) fn insert_text(&mut self, text: &str) {
        for hash in trigrams(text) {
            self.set(hash);
        }
    }

    pub(crate) fn insert_pair(&mut self, hash: u64) {
        for hash in spread(hash) {
            self.set(hash);
        }
    }

    /// Whether a trace with this filter may have what the probe is for.
    pub(crate) fn may_have(&self, probe: &Probe) -> bool {
        match probe {
            Probe::Text(hashes) => hashes.iter().all(|hash| self.is_set(*hash)),
            Probe::Pair(hash) => spread(*hash).into_iter().all(|hash| self.is_set(hash)),
        }
    }

    /// The bytes of the bits.
    pub(crate) fn bytes(&self) -> usize {
        self.bits.len() * size_of::<u64>()
    }

    fn place(&self, hash: u64) -> (usize, u64) {
        let at = hash & self.mask;
        (usize::try_from(at / 64).unwrap_or_default(), 1 << (at % 64))
    }

    fn set(&mut self, hash: u64) {
        let (word, bit) = self.place(hash);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }

    fn is_set(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        self.bits.get(word).is_none_or(|word| word & bit != 0)
    }
}

impl Probe {
    /// For a text within another text. A text of fewer than three bytes excludes nothing.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(trigrams(text).collect())
    }
}

/// The hash of a key.
pub(crate) fn key(key: &str) -> u64 {
    mix(state(key))
}

/// The hashes of a key, and of it with a value.
pub(crate) fn key_and_pair(key: &str, value: &str) -> (u64, u64) {
    let state = state(key);
    (mix(state), with_value(state, value))
}

fn state(key: &str) -> u64 {
    key.bytes().fold(BASIS, step)
}

/// The hash of a key and a value. Equal numbers have one hash, however they are written, and so do texts that differ in ASCII case alone.
pub(crate) fn pair(key: &str, value: &str) -> u64 {
    with_value(state(key), value)
}

fn with_value(key: u64, value: &str) -> u64 {
    let start = step(key, 0xff);
    mix(match number(value) {
        // Adding zero makes the negative zero positive.
        Some(number) => start ^ mix((number + 0.0).to_bits()),
        None => value.bytes().map(|byte| byte.to_ascii_lowercase()).fold(start, step),
    })
}

// FNV-1a, and the finalizer of MurmurHash3.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

fn spread(hash: u64) -> [u64; 3] {
    [hash, hash >> 21, hash >> 42]
}

fn trigrams(text: &str) -> impl Iterator<Item = u64> {
    let mut window = 0_u32;
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        window = ((window << 8) | u32::from(byte.to_ascii_lowercase())) & 0x00ff_ffff;
        // The high half of the product depends on all three bytes.
        (at >= 2).then(|| u64::from(window).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_within_an_inserted_text_is_never_excluded(before in ".{0,20}", text in ".{0,20}", after in ".{0,20}") {
            let mut filter = Filter::new(2_000);
            filter.insert_text(&format!("{before}{text}{after}").to_ascii_uppercase());
            prop_assert!(filter.may_have(&Probe::text(&text)));
        }

        #[test]
        fn a_pair_is_found_and_few_others_are(pairs in proptest::collection::btree_map("[a-z.]{1,9}", "[a-z0-9]{1,9}", 1..40)) {
            let mut filter = Filter::new(8_000);
            pairs.iter().for_each(|(key, value)| filter.insert_pair(pair(key, value)));
            prop_assert!(pairs.iter().all(|(key, value)| filter.may_have(&Probe::Pair(pair(key, value)))));
            let wrong = (0..1_000).filter(|n| filter.may_have(&Probe::Pair(pair("UPPER", &format!("v{n}"))))).count();
            prop_assert!(wrong < 100, "{}", wrong);
        }
    }

    #[test]
    fn numbers_are_pairs_by_their_value() {
        assert_eq!(pair("n", "200"), pair("n", "2e2"));
        assert_eq!(pair("n", "-0"), pair("n", "0.0"));
        assert_eq!(pair("n", "Backend"), pair("n", "bACKEND"));
        assert_ne!(pair("n", "200"), pair("n", "201"));
    }

    #[test]
    fn a_filter_is_a_sixteenth_of_its_trace_within_bounds() {
        for (content, bytes) in [(0, 64), (8_192, 512), (6_000, 512), (100_000_000, 65_536)] {
            assert_eq!(Filter::new(content).bytes(), bytes);
        }
    }
}
