//! Removes secrets from the text of a destination's response.

use std::collections::HashSet;

use secrecy::{ExposeSecret, SecretString};

/// The most characters of a response that are examined.
const MOST: usize = 4_096;
/// The fewest letters and digits of a secret that is masked.
const SHORTEST: usize = 6;
/// This many of a secret's letters and digits in a row are a part of it, and not a coincidence.
const REVEALING: usize = 8;

/// A destination's message, to be appended to ours: on one line, of at most 300 characters, and without the secrets that the
/// destination was sent and may repeat.
pub(crate) fn redacted<'a>(secrets: impl Iterator<Item = &'a SecretString>, message: &str) -> String {
    let message: Vec<char> = message.trim().chars().filter(|c| !c.is_control()).take(MOST).collect();
    let line: String = masked(secrets, &message).chars().take(300).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

/// `text` with `***` for each part that repeats enough of a secret to be no coincidence. Only letters and digits are compared,
/// so that a secret is found even with quotes, line breaks or escapes in it.
fn masked<'a>(secrets: impl Iterator<Item = &'a SecretString>, text: &[char]) -> String {
    let letters: Vec<(usize, char)> = text.iter().copied().enumerate().filter(|(_, c)| c.is_alphanumeric()).collect();
    let mut hidden = vec![false; text.len()];
    for secret in secrets.map(ExposeSecret::expose_secret) {
        let secret: Vec<char> = secret.chars().filter(|c| c.is_alphanumeric()).collect();
        // A shorter text is not a key, and may occur in ordinary words.
        if secret.len() < SHORTEST {
            continue;
        }
        let length = secret.len().min(REVEALING);
        let parts: HashSet<&[char]> = secret.windows(length).collect();
        for found in letters.windows(length) {
            let spelt: Vec<char> = found.iter().map(|(_, c)| *c).collect();
            if let (true, Some((first, _)), Some((last, _))) = (parts.contains(&*spelt), found.first(), found.last()) {
                hidden.iter_mut().take(last + 1).skip(*first).for_each(|hidden| *hidden = true);
            }
        }
    }
    let mut masked = String::new();
    let mut before = false;
    for (c, hidden) in text.iter().zip(hidden) {
        match (hidden, before) {
            (true, false) => masked.push_str("***"),
            (true, true) => {}
            (false, _) => masked.push(*c),
        }
        before = hidden;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_response_is_masked() {
        let secrets: [SecretString; 2] = ["Bearer canary-key".into(), "4".into()];
        let redacted = |message| redacted(secrets.iter(), message);
        assert_eq!(redacted("no token canary-key in\r\n401"), ": no token *** in401");
        let long = format!("{}canary-key", "x".repeat(295));
        assert!(!redacted(&long).contains("can"), "masked before it is cut");
        assert_eq!(redacted(" \n"), "");
    }

    #[test]
    fn a_key_with_characters_in_between_is_masked() {
        let key = "IQoJb3JpZ2luX2VjEPT/abc+def==4TTT";
        let secrets: [SecretString; 1] = [key.into()];
        let broken: Vec<String> = key.chars().map(|c| format!("{c} \n")).collect();
        let apart = [broken.concat(), key.replace('/', "\\/"), key.replace('/', "\n/\t"), format!("<{}>", &key[5..20])];
        for echo in apart {
            assert_eq!(redacted(secrets.iter(), &format!("no {echo} here")).matches("***").count(), 1, "{echo}");
        }
        assert_eq!(redacted(secrets.iter(), "Jb3JpZ is short"), ": Jb3JpZ is short");
    }
}
