//! The names of documents, which have a restricted alphabet. Does no I/O.

use std::borrow::Cow;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Turns `text` into a document's name: letters, numbers, white space and `_.:/%&#=+-@`, at most 200 characters. Other
/// characters are removed, and a tab or a line break becomes a space. If nothing is left, the name is `unnamed`, so that no
/// document is lost because of its name. Borrowed if nothing had to change.
///
/// Letters, numbers and spaces are those of the schema that the X-Ray SDKs share: Unicode's categories L, N and Z within the
/// Basic Multilingual Plane.
pub fn name(text: &str) -> Cow<'_, str> {
    const MOST: usize = 200;
    if text.len() <= MOST && text.bytes().any(|byte| byte != b' ') && text.bytes().all(is_in_ascii_name) {
        return Cow::Borrowed(text);
    }
    let space = |c| if matches!(c, '\t' | '\n' | '\r') { ' ' } else { c };
    let name: String = text.chars().map(space).filter(|c| is_in_name(*c)).take(MOST).collect();
    match name.trim().is_empty() {
        true => Cow::Borrowed("unnamed"),
        false if name == text => Cow::Borrowed(text),
        false => Cow::Owned(name),
    }
}

fn is_in_ascii_name(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
        || matches!(byte, b' ' | b'_' | b'.' | b':' | b'/' | b'%' | b'&' | b'#' | b'=' | b'+' | b'-' | b'@')
}

fn is_in_name(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Number, Separator};
    if let Ok(byte @ ..0x80) = u8::try_from(c) {
        return is_in_ascii_name(byte);
    }
    c <= '\u{ffff}' && matches!(c.general_category_group(), Letter | Number | Separator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_cut_between_characters_and_never_empty() {
        assert_eq!(name("GET /api/{uuid}"), "GET /api/uuid");
        assert_eq!(name("💣"), "unnamed");
        assert_eq!(name(" \n"), "unnamed");
        assert_eq!(name("a\tb\u{7}c"), "a bc");
        assert_eq!(name(&"é".repeat(300)).chars().count(), 200);
        assert!(matches!(name("Größe 7"), Cow::Borrowed("Größe 7")));
        assert_eq!(name("कि𝒳"), "क", "neither a mark nor a character beyond the basic plane");
        assert_eq!(name("a\u{332}b\u{20820}"), "ab", "by characters, not by bytes");
    }

    proptest! {
        #[test]
        fn any_name_is_valid(text in ".{0,300}") {
            let name = name(&text);
            prop_assert!((1..=200).contains(&name.chars().count()));
            prop_assert!(name.chars().all(is_in_name) && !name.trim().is_empty());
        }
    }
}
