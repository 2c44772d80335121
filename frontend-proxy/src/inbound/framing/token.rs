//! The characters of header names.

/// The characters of [a token](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2), except the underscore.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let (mut at, all) = (0, *b"!#$%&'*+-.^`|~");
    while at < all.len() {
        token[all[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0_u8;
    while byte < 128 {
        token[byte as usize] = token[byte as usize] || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    token
};

#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}
