use proptest::prelude::*;
use sqlx::ConnectOptions;
use sqlx::postgres::PgSslMode;

use super::*;

fn parse(url: &str) -> Result<PgConnectOptions, Fault> {
    super::parse(url, &Defaults::default())
}

/// Host, port, user and database.
fn read(url: &str) -> (String, u16, String, Option<String>) {
    let options = parse(url).unwrap_or_else(|fault| panic!("{url} {}", fault.0));
    let host = options.get_socket().map_or(options.get_host().to_owned(), |path| path.display().to_string());
    let database = options.get_database().map(str::to_owned);
    (host, options.get_port(), options.get_username().to_owned(), database)
}

fn password(url: &str) -> Option<String> {
    let url = parse(url).unwrap().to_url_lossy();
    url.password().map(|password| decode(password).unwrap())
}

#[test]
fn each_form_of_libpq_is_read() {
    for (url, host, port, database) in [
        ("postgres://me@db", "db", 5432, None),
        ("postgresql://me@db:/name", "db", 5432, Some("name")),
        ("postgres://me@[::1]:5433/name", "::1", 5433, Some("name")),
        ("postgres://me@[::1]", "::1", 5432, None),
        ("postgres://me@[fe80::1%25lo]/name", "fe80::1%lo", 5432, Some("name")),
        ("postgres://me:pw@/name?host=/run/pg", "/run/pg", 5432, Some("name")),
        ("postgres:///name?user=me&host=/run/pg&port=5433", "/run/pg", 5433, Some("name")),
        ("postgres://me@%2Frun%2Fpg:5433/name", "/run/pg", 5433, Some("name")),
        ("postgres://?host=db&user=me&dbname=name", "db", 5432, Some("name")),
        ("postgres://me@elsewhere/other?host=db&dbname=na%20me", "db", 5432, Some("na me")),
        ("postgres://me@db/na%2Fme", "db", 5432, Some("na/me")),
        ("postgres://me@db?hostaddr=127.0.0.1", "127.0.0.1", 5432, None),
        ("postgres://me@db/name?connect_timeout=10&target_session_attrs=read-write", "db", 5432, Some("name")),
    ] {
        let expected = (host.to_owned(), port, "me".to_owned(), database.map(str::to_owned));
        assert_eq!(read(url), expected, "{url}");
    }
}

#[test]
fn an_encoded_password_is_decoded_and_an_empty_one_is_none() {
    assert_eq!(password("postgres://me:a%2Fb%3Fc%23d%40e%25f%26g%3Ah+i@db").as_deref(), Some("a/b?c#d@e%f&g:h+i"));
    assert_eq!(password("postgres://me:a:b@c@db").as_deref(), Some("a:b@c"));
    assert_eq!(password("postgres://me@db?password=a%26b+c").as_deref(), Some("a&b+c"));
    assert_eq!(password("postgres://me:@db"), None);
}

#[test]
fn an_unusable_url_is_a_fault_with_its_fix() {
    for (url, fault) in [
        ("mysql://me@db", NOT_A_URL),
        ("host=db user=me", NOT_A_URL),
        ("postgres://me:20/canary@db/name", UNENCODED),
        ("postgres://me:20?canary@db/name", UNENCODED),
        ("postgres://me:20#canary@db/name", UNENCODED),
        ("postgres://me@db/name?password=can#ary", UNENCODED),
        ("postgres://me@db/name?password", UNENCODED),
        ("postgres://me:can%ary@db/name", PERCENT),
        ("postgres://me:canary%@db/name", PERCENT),
        ("postgres://me:canary%00@db/name", PERCENT),
        ("postgres://me:canary%ff@db/name", PERCENT),
        ("postgres://me:canary", PORT),
        ("postgres://me@db:0", PORT),
        ("postgres://me@db:65536", PORT),
        ("postgres://me@db:+1", PORT),
        ("postgres://me@::1:5432", PORT),
        ("postgres://me@[::1", ADDRESS),
        ("postgres://me@[::1]5432", ADDRESS),
        ("postgres://me@[]:5432", ADDRESS),
        ("postgres://me@one,two/name", HOSTS),
        ("postgres://me@one:1,two:2/name", HOSTS),
        ("postgres://me@[::1],[::2]/name", HOSTS),
        ("postgres://me@/name?host=one,two", HOSTS),
        ("postgres://me@db?password=can&ary=", PARAMETER),
        ("postgres://me@db?sslcrl=file", PARAMETER),
        ("postgres://me@db?sslmode=maybe", SSL_MODE),
        ("postgres://me@db?channel_binding=require", CHANNEL_BINDING),
        ("postgres://me@db?target_session_attrs=standby", SESSION),
    ] {
        assert_eq!(parse(url).err(), Some(fault), "{url}");
    }
}

#[test]
fn tls_is_as_strict_as_with_libpq() {
    for (url, mode) in [
        ("postgres://me@db?sslmode=disable", PgSslMode::Disable),
        ("postgres://me@db?sslmode=allow", PgSslMode::Prefer),
        ("postgres://me@db?sslmode=require", PgSslMode::Require),
        ("postgres://me@db?ssl=true", PgSslMode::Require),
        ("postgres://me@db?sslmode=require&sslrootcert=ca.pem", PgSslMode::VerifyCa),
        ("postgres://me@db?sslmode=verify-full&sslrootcert=ca.pem", PgSslMode::VerifyFull),
        ("postgres://me@db?sslrootcert=system", PgSslMode::VerifyFull),
        // A socket file has no TLS.
        ("postgres://me@/name?host=/run/pg&sslmode=require", PgSslMode::Disable),
    ] {
        let found = parse(url).unwrap().get_ssl_mode();
        assert_eq!(format!("{found:?}"), format!("{mode:?}"), "{url}");
    }
}

/// The options of a URL and libpq's variables, or the faults.
fn read_with(url: &str, pairs: &[(&str, &str)]) -> Result<PgConnectOptions, String> {
    let mut settings = Settings::from_pairs(pairs);
    let options = super::parse(url, &Defaults::read(&mut settings)).unwrap();
    settings.finish(options).map_err(|faults| faults.to_string())
}

#[test]
fn an_invalid_variable_of_libpq_is_a_fault_and_never_the_default() {
    for (variable, value) in
        [("PGPORT", "x"), ("PGPORT", "0"), ("PGPORT", "65536"), ("PGHOST", "one,two"), ("PGSSLMODE", "maybe")]
    {
        let faults = read_with("postgres://me@db", &[(variable, value)]).unwrap_err();
        assert!(faults.starts_with(&format!("{variable}: ")), "{value}: {faults}");
    }
}

#[test]
fn a_variable_of_libpq_that_is_not_read_is_a_warning() {
    let warnings = |pairs: &[(&str, &str)]| {
        let mut settings = Settings::from_pairs(pairs);
        super::parse("postgres://me@db", &Defaults::read(&mut settings)).unwrap();
        let warnings: Vec<_> = settings.warnings().map(|(name, _)| name.to_owned()).collect();
        assert!(settings.finish(()).is_ok());
        warnings
    };
    assert_eq!(
        warnings(&[("PGSERVICE", "cruddur"), ("PGREQUIREAUTH", "scram-sha-256")]),
        ["PGREQUIREAUTH", "PGSERVICE"]
    );
    assert_eq!(warnings(&[("PGTARGETSESSIONATTRS", "standby")]), ["PGTARGETSESSIONATTRS"]);
    let without_effect = [("PGTARGETSESSIONATTRS", "read-write"), ("PGCONNECT_TIMEOUT", "3"), ("PGSERVICE", " ")];
    assert!(warnings(&without_effect).is_empty());
}

#[test]
fn settings_from_variables_are_as_strict_as_those_in_the_url() {
    let mode = |url: &str, pairs: &[(&str, &str)]| format!("{:?}", read_with(url, pairs).unwrap().get_ssl_mode());
    let (allow, require) = (("PGSSLMODE", "allow"), ("PGSSLMODE", "require"));
    assert_eq!(mode("postgres://me@db", &[allow]), "Prefer");
    assert_eq!(mode("postgres://me@db", &[require, ("PGSSLROOTCERT", "ca.pem")]), "VerifyCa");
    assert_eq!(mode("postgres://me@db?sslmode=verify-full", &[allow]), "VerifyFull");
    assert_eq!(mode("postgres://me@/name", &[require, ("PGHOST", "/run/pg")]), "Disable");
    let options = read_with("postgres://me@/name", &[("PGHOSTADDR", "::1"), ("PGHOST", "db"), ("PGPORT", "5433")]);
    let options = options.unwrap();
    assert_eq!((options.get_host(), options.get_port()), ("::1", 5433));
    assert_eq!(read_with("postgres://me@db:5434", &[("PGPORT", "5433")]).unwrap().get_port(), 5434);
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn an_encoded_value_is_read_back(
        user in "[^\0]{1,12}", secret in "[^\0]{1,12}", name in "[^\0]{1,12}", port in 1..=u16::MAX,
    ) {
        let url = |user: &str| format!("postgres://{}:{}@db:{port}/{}", encoded(user), encoded(&secret), encoded(&name));
        // sqlx's own URL, which contains the password, does not encode a user.
        prop_assert_eq!(password(&format!("postgres://me:{}@db", encoded(&secret))), Some(secret.clone()));
        prop_assert_eq!(read(&url(&user)), ("db".to_owned(), port, user, Some(name)));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(postgres(ql)?://)?\\PC{0,40}") {
        let _: Result<PgConnectOptions, Fault> = parse(&text);
    }
}
