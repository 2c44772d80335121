//! Placeholders that examples contain instead of real values.

/// Whether a value is a placeholder that the reader must replace, such as `your-ingest-key`, `<key>` or `changeme`. The name of a
/// variable that was not expanded is one too: `$KEY`.
pub fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 7] = ["changeme", "replaceme", "placeholder", "todo", "tbd", "yourkey", "apikey"];
    let is_name =
        |name: &str| name.len() > 2 && name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    let is_variable = value.trim().strip_prefix('$').is_some_and(is_name);
    let value = value.trim().to_ascii_lowercase();
    let is_between = [("<", ">"), ("{{", "}}"), ("${", "}"), ("$(", ")")]
        .iter()
        .any(|(open, close)| value.len() > 2 && value.starts_with(open) && value.ends_with(close));
    let letters: String = value.chars().filter(|c| c.is_alphanumeric()).collect();
    let is_filler = value.len() >= 3 && ["x", "*", ".", "?"].iter().any(|filler| value.replace(filler, "").is_empty());
    let is_request = ["your-", "your_", "your ", "my-api", "my_api", "insert-", "insert_", "replace-", "replace_"]
        .iter()
        .any(|start| value.starts_with(start))
        || ["-here", "_here", " here"].iter().any(|end| value.ends_with(end));
    is_variable || is_between || is_filler || is_request || WORDS.contains(&letters.as_str())
}
