//! The codes of invalid inputs.

/// A fault in an input. The codes are the original's, including its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("ttl_blank")]
    TtlBlank,
    #[error("message_blank")]
    MessageBlank,
    #[error("message_exceed_max_chars")]
    MessageExceedMaxChars,
    #[error("activity_uuid_blank")]
    ActivityUuidBlank,
    #[error("search_term_blank")]
    SearchTermBlank,
    #[error("blank_user_handle")]
    BlankUserHandle,
    #[error("user_reciever_handle_blank")]
    UserReceiverHandleBlank,
    #[error("message_group_uuid_blank")]
    MessageGroupUuidBlank,
    #[error("handle_blank")]
    HandleBlank,
    #[error("handle_invalid")]
    HandleInvalid,
    #[error("display_name_blank")]
    DisplayNameBlank,
    #[error("display_name_exceed_max_chars")]
    DisplayNameExceedMaxChars,
    #[error("bio_exceed_max_chars")]
    BioExceedMaxChars,
    #[error("email_blank")]
    EmailBlank,
    #[error("email_invalid")]
    EmailInvalid,
    #[error("login_blank")]
    LoginBlank,
    #[error("password_blank")]
    PasswordBlank,
    #[error("password_too_short")]
    PasswordTooShort,
    #[error("password_exceed_max_chars")]
    PasswordExceedMaxChars,
}
