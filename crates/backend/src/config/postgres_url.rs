//! Connection URLs of PostgreSQL servers, as libpq
//! [reads them](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS). Total: any text is either connect options or
//! a fault, and a fault is a fixed text, so that it cannot quote a piece of a password. Stricter than libpq in one place: `/ ? # @` must be
//! percent-encoded in a password, because an unencoded one makes the URL ambiguous. Does not connect.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use settings::Settings;
use sqlx::postgres::PgConnectOptions;

/// Why a text is not the URL of a server that can be used here, and the fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(pub(super) &'static str);

const NOT_A_URL: Fault = Fault("is not a database URL; give postgres://user:password@host:5432/name or sqlite:path");
const UNENCODED: Fault = Fault(
    "has an unencoded special character; percent-encode / ? # @ & and % in the user, the password and parameters \
     (%2F %3F %23 %40 %26 %25)",
);
const PERCENT: Fault =
    Fault("has a % that does not begin a percent-encoded UTF-8 character; percent-encode each other % as %25");
const PORT: Fault = Fault(
    "has a port that is not a number from 1 to 65535; percent-encode / ? # @ in the password, and put an IPv6 address \
     in [ ]",
);
const ADDRESS: Fault = Fault("has an invalid IPv6 address; give [address] or [address]:port");
const HOSTS: Fault = Fault("names several hosts; give one, such as a pooler or a name that follows the primary");
const PARAMETER: Fault = Fault(
    "has an unsupported parameter; remove it (supported: host, hostaddr, port, dbname, user, password, sslmode, sslrootcert, \
     sslcert, sslkey, application_name, options), and percent-encode & in the password as %26",
);
const SSL_MODE: Fault = Fault("has an invalid sslmode; give disable, allow, prefer, require, verify-ca or verify-full");
const CHANNEL_BINDING: Fault =
    Fault("requires channel binding, which is not supported; remove channel_binding and set sslmode=verify-full");
const SESSION: Fault =
    Fault("has an unsupported target_session_attrs; give read-write or primary, or remove it: only a primary is used");

/// Those of libpq's parameters that change nothing here: every wait has a separate bound, and text is UTF-8.
const WITHOUT_EFFECT: [&str; 14] = [
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "sslcompression",
    "sslsni",
    "tcp_user_timeout",
];

/// libpq's variables that sqlx does not read, although they would choose another server or how it is verified. Variables about time-outs and
/// encodings are not listed: like the parameters of their names, they have no effect here.
const UNREAD: [&str; 19] = [
    "PGCHANNELBINDING",
    "PGDATESTYLE",
    "PGGEQO",
    "PGGSSDELEGATION",
    "PGMAXPROTOCOLVERSION",
    "PGMINPROTOCOLVERSION",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERTMODE",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLNEGOTIATION",
    "PGSYSCONFDIR",
    "PGTZ",
];

/// Parameters by libpq's names, decoded.
type Parameters = BTreeMap<&'static str, String>;

/// Those of libpq's variables that sqlx would misread: an invalid value would be ignored, and `allow` would mean no TLS. sqlx reads the others.
#[derive(Default)]
pub(super) struct Defaults(Parameters);

impl Defaults {
    pub(super) fn read(settings: &mut Settings) -> Self {
        let mut all = Parameters::new();
        if let Some(port) = settings.parse::<NonZeroU16>("PGPORT", "a number from 1 to 65535") {
            all.insert("port", port.to_string());
        }
        for (variable, name) in
            [("PGHOSTADDR", "host"), ("PGHOST", "host"), ("PGSSLMODE", "sslmode"), ("PGSSLROOTCERT", "sslrootcert")]
        {
            let Some(value) = settings.text(variable) else { continue };
            match check(&mut Parameters::from([(name, value.clone())])) {
                Ok(()) => {
                    all.entry(name).or_insert(value);
                }
                Err(Fault(problem)) => settings.fault(variable, problem),
            }
        }
        for variable in UNREAD {
            if settings.text(variable).is_some() {
                settings.warn(variable, "is not read here; put its setting into DATABASE_URL, or unset it");
            }
        }
        if let Some(value) = settings.text("PGTARGETSESSIONATTRS")
            && parameter("target_session_attrs", value).is_err()
        {
            settings.warn("PGTARGETSESSIONATTRS", "is not read here; the database must accept writes");
        }
        Self(all)
    }
}

/// Reads a URL. Settings that it omits come from `defaults` and libpq's other variables, or are libpq's defaults.
pub(super) fn parse(url: &str, Defaults(defaults): &Defaults) -> Result<PgConnectOptions, Fault> {
    let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or(NOT_A_URL)?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // An unencoded `/ ? #` in the password ends the authority early, and leaves the `@` behind it.
    if tail.contains(['@', '#']) {
        return Err(UNENCODED);
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let (user_info, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    let (host, port) = host_and_port(address)?;
    let mut parameters = Parameters::new();
    let parts = [
        ("user", user),
        ("password", password),
        ("host", host),
        ("port", port),
        ("dbname", path.trim_start_matches('/')),
    ];
    for (name, value) in parts {
        parameters.insert(name, decode(value)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(UNENCODED)?;
        if let Some((name, value)) = parameter(&decode(name)?, decode(value)?)? {
            parameters.insert(name, value);
        }
    }
    // An empty parameter counts as missing.
    parameters.retain(|_, value| !value.is_empty());
    for (name, value) in defaults {
        parameters.entry(*name).or_insert_with(|| value.clone());
    }
    check(&mut parameters)?;
    encode(&parameters).parse().map_err(|_| NOT_A_URL)
}

fn host_and_port(address: &str) -> Result<(&str, &str), Fault> {
    let (host, rest) = match address.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(ADDRESS)?;
            if host.is_empty() {
                return Err(ADDRESS);
            }
            (host, rest)
        }
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if rest.is_empty() => Ok((host, "")),
        None if rest.starts_with(',') => Err(HOSTS),
        None => Err(ADDRESS),
    }
}

/// A parameter that has an effect here; `None` for one without effect.
fn parameter(name: &str, value: String) -> Result<Option<(&'static str, String)>, Fault> {
    const NAMES: [&str; 11] = [
        "host",
        "port",
        "dbname",
        "user",
        "password",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "application_name",
        "options",
    ];
    if let Some(name) = NAMES.iter().find(|known| **known == name) {
        return Ok(Some((name, value)));
    }
    match (name, value.as_str()) {
        ("hostaddr", _) => Ok(Some(("host", value))),
        ("ssl", "true") => Ok(Some(("sslmode", "require".to_owned()))),
        ("channel_binding", "require") => Err(CHANNEL_BINDING),
        ("channel_binding", _) | ("target_session_attrs", "any" | "read-write" | "primary") => Ok(None),
        ("target_session_attrs", _) => Err(SESSION),
        _ if WITHOUT_EFFECT.contains(&name) => Ok(None),
        _ => Err(PARAMETER),
    }
}

/// Refuses parameters that sqlx would misread, and resolves the differences between libpq and sqlx.
fn check(parameters: &mut Parameters) -> Result<(), Fault> {
    if let Some(port) = parameters.get("port") {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse::<u16>() {
            Ok(1..) if is_number => {}
            _ if port.contains(',') => return Err(HOSTS),
            _ => return Err(PORT),
        }
    }
    let host = parameters.get("host").map_or("", String::as_str);
    if host.contains(',') {
        return Err(HOSTS);
    }
    let is_socket = host.starts_with('/');
    let has_root = parameters.contains_key("sslrootcert");
    // `system` means the system's certificates, which always count; libpq then verifies the name too.
    let system = parameters.get("sslrootcert").is_some_and(|file| file == "system");
    if system {
        parameters.remove("sslrootcert");
    }
    let mode = parameters.get("sslmode").map(String::as_str);
    let mode = match mode {
        None | Some("disable" | "prefer" | "verify-ca" | "verify-full") => mode,
        // With `allow`, sqlx would not try TLS.
        Some("allow") => Some("prefer"),
        Some("require") if has_root => Some("verify-ca"),
        Some("require") => mode,
        Some(_) => return Err(SSL_MODE),
    };
    let mode = match mode {
        _ if is_socket => Some("disable"),
        _ if system => Some("verify-full"),
        mode => mode,
    };
    if let Some(mode) = mode.map(str::to_owned) {
        parameters.insert("sslmode", mode);
    }
    Ok(())
}

/// Percent-decodes a text. Refuses `%` without two hex digits and NUL, as libpq does, and also text that is not UTF-8.
fn decode(text: &str) -> Result<String, Fault> {
    let begins_with_hex =
        |text: &str| text.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(begins_with_hex) {
        return Err(PERCENT);
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| PERCENT)?;
    if decoded.contains('\0') { Err(PERCENT) } else { Ok(decoded.into_owned()) }
}

/// Writes the one form that sqlx cannot misread: every value is a parameter, and every byte of it is encoded unless it is a letter or digit. sqlx then adds the
/// password file's entry for it.
fn encode(parameters: &Parameters) -> String {
    let mut url = "postgres:?".to_owned();
    for (name, value) in parameters {
        url.extend([*name, "="]);
        url.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        url.push('&');
    }
    url
}

#[cfg(test)]
mod tests;
