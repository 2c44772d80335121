//! Which characters texts may hold, whether a text shows anything, and how its length is counted. The page counts in the same way (`forms.js`).

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

/// Nonspacing marks on one base. Scripts need fewer; dozens would draw over neighbouring lines.
const MAX_MARKS: usize = 6;
/// Scalar values that count as one character if they are one grapheme cluster. The longest emoji of families have 10.
const CLUSTER: usize = 16;
/// Characters that show nothing although their category is that of letters or symbols: the fillers of Hangul, the blanks of Braille and of hieroglyphs, a note
/// without a head, and a placeholder.
const BLANKS: [char; 9] =
    ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}', '\u{fffc}', '\u{13441}', '\u{13442}', '\u{1d159}'];

/// The text in NFC, without control characters except newlines, and with a bounded number of marks on each base. Control characters are removed first: they
/// would keep characters apart that NFC composes.
pub fn printable(text: &str) -> String {
    let mut marks = 0;
    let composed = text.chars().filter(|c| *c == '\n' || !c.is_control()).nfc();
    composed
        .filter(|c| {
            match c.general_category() {
                GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark => marks += 1,
                // Marks behind these still stack on the base before them.
                GeneralCategory::SpacingMark => return true,
                _ if is_ignorable(*c) => return true,
                _ => marks = 0,
            }
            marks <= MAX_MARKS
        })
        .collect()
}

/// One line to show among others: without the controls of direction, which would reverse the text after them or show one name as another.
pub(super) fn line(text: &str) -> String {
    let text: String = text.chars().filter(|c| !is_bidi_control(*c)).collect();
    printable(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether nothing of a text can be seen. Marks without a base count as nothing.
pub(super) fn is_blank(text: &str) -> bool {
    !text.chars().any(|c| {
        let is_shown = match c.general_category() {
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark | GeneralCategory::SpacingMark => false,
            GeneralCategory::Control | GeneralCategory::Surrogate => false,
            _ => !c.is_whitespace(),
        };
        is_shown && !is_ignorable(c)
    })
}

/// The number of characters as a person counts them: extended grapheme clusters. One cluster may have any number of scalar values, so a long one
/// counts as several.
pub(super) fn length(text: &str) -> usize {
    text.graphemes(true).map(|cluster| cluster.chars().count().div_ceil(CLUSTER)).sum()
}

/// Whether a character alone shows nothing: `Default_Ignorable_Code_Point` without its marks, other format characters, and [`BLANKS`].
fn is_ignorable(c: char) -> bool {
    let is_reserved = matches!(c, '\u{2065}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}');
    c.general_category() == GeneralCategory::Format || is_reserved || BLANKS.contains(&c)
}

/// [`Bidi_Control`](https://www.unicode.org/reports/tr9/#Table_Bidirectional_Character_Types)
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invisible_text_is_blank() {
        for text in [
            "",
            " \n\t",
            "\u{a0}\u{3000}\u{2028}",
            "\u{200b}",
            "\u{3164}",
            "\u{2800}\u{2800}",
            "\u{ad}",
            "\u{fe0f}",
            "\u{e0041}\u{e007f}",
            "\u{115f}\u{1160}",
            "\u{ffa0}",
            "\u{feff}",
            "\u{2060}\u{2064}",
            "\u{180e}",
            "\u{34f}",
            "\u{17b5}",
            "\u{301}\u{302}",
            "\u{20dd}",
            "\u{202e}",
            "\u{1d159}",
            "\u{1d173}",
            "\u{2065}",
            "\u{fff0}",
            "\u{e01ef}",
            "\u{7}",
        ] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in ["a", "\u{200b}a", "?", "💣", "👁\u{fe0f}", "ⵣ", "e\u{301}", "\u{e000}", "\u{0903}क", "१", "🏽"]
        {
            assert!(!is_blank(text), "{text:?}");
        }
    }

    #[test]
    fn a_name_keeps_no_control_of_direction() {
        let controls: String = ('\u{2000}'..='\u{206f}').chain(['\u{61c}']).filter(|c| is_bidi_control(*c)).collect();
        assert_eq!(controls.chars().count(), 12);
        assert_eq!(line(&format!("Andrew{controls} Brown")), "Andrew Brown");
        assert_eq!(line("שלום עולם"), "שלום עולם");
        assert_eq!(
            line("👨\u{200d}👩\u{200d}👧 می\u{200c}خواهم"),
            "👨\u{200d}👩\u{200d}👧 می\u{200c}خواهم",
            "joiners are needed"
        );
    }

    #[test]
    fn stacked_marks_are_bounded() {
        for stacked in [
            "\u{300}",
            "\u{301}\u{316}",
            "\u{e47}",
            "\u{20dd}",
            "\u{300}\u{200d}",
            "\u{300}\u{3164}",
            "\u{489}\u{2060}",
        ] {
            let kept = printable(&format!("x{}y", stacked.repeat(50)));
            let marks = |c: &char| {
                matches!(c.general_category(), GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark)
            };
            assert!(kept.chars().filter(marks).count() <= MAX_MARKS, "{kept:?}");
            assert!(kept.starts_with('x') && kept.ends_with('y'));
        }
        for text in ["Việt Nam", "בְּרֵאשִׁ֖ית", "ทั้งนี้ผู้ใหญ่", "ཧཱུྃ", "ကြောင့်", "हिन्दी", "Z\u{351}a"]
        {
            assert_eq!(printable(text), text.nfc().collect::<String>());
        }
    }

    #[test]
    fn characters_are_counted_as_a_person_counts() {
        for (text, count) in [
            ("e\u{301}", 1),
            ("👨\u{200d}👩\u{200d}👧\u{200d}👦", 1),
            ("🏴\u{e0067}\u{e0062}\u{e007f}🇨🇿", 2),
            ("हिन्दी", 2),
            ("각", 1),
        ] {
            assert_eq!(length(text), count, "{text}");
        }
        assert_eq!(length(&"🔥\u{200d}".repeat(16)), 2, "a very long cluster");
    }

    proptest! {
        #[test]
        fn a_printable_text_stays_as_it_is(text in "[\\u{300}-\\u{310}a-c\\u{e47}\\u{200d}\\u{1100}-\\u{11ff}\\PC]{0,80}") {
            let kept = printable(&text);
            prop_assert_eq!(printable(&kept), kept.clone());
            prop_assert!(length(&kept) * CLUSTER >= kept.chars().count());
        }

        #[test]
        fn a_line_stays_as_it_is(text in ".{0,80}") {
            let kept = line(&text);
            prop_assert_eq!(line(&kept), kept);
        }
    }
}
