use super::*;

#[test]
fn the_documented_bounds_are_those_of_the_code() {
    let page = include_str!("../../../../docs/src/browser.md");
    let (sent, unpacked, seconds) = (SENT / 1024, INFLATED / 1024 / 1024, DURATION.as_secs());
    for bound in [
        format!("slower than {seconds} s; more than {sent} KiB, or {unpacked} MiB unpacked"),
        format!("more than {AT_ONCE} messages at the same time"),
    ] {
        assert!(page.contains(&bound), "{bound}");
    }
}

#[test]
fn only_a_page_of_this_origin_may_send_spans() {
    let same = |headers: &[(&'static str, &'static str)], scheme| {
        let map = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value)));
        let host = Some("cruddur.example:3000".into());
        is_same_origin(&map.collect(), &Client { address: [192, 0, 2, 7].into(), scheme, host })
    };
    let here = ("origin", "http://cruddur.example:3000");
    let tls = ("origin", "https://cruddur.example:3000");
    assert!(same(&[here], "http") && same(&[tls], "http") && same(&[tls], "https"));
    assert!(!same(&[here], "https"), "a page without TLS has another origin");
    assert!(same(&[("sec-fetch-site", "same-origin")], "http"));
    for headers in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "http://cruddur.example")],
        &[here, ("sec-fetch-site", "cross-site")],
        &[here, ("sec-fetch-site", "same-site")],
        &[here, ("sec-fetch-site", "none")],
    ] {
        assert!(!same(headers, "http"), "{headers:?}");
    }
}

#[test]
fn a_decompression_bomb_is_refused() {
    let packed = crate::site::gzip::whole(&vec![0; 3 * 1024 * 1024]).unwrap();
    assert!(packed.len() < 16 * 1024);
    assert_eq!(inflated(&packed).err().map(|refusal| refusal.status), Some(StatusCode::PAYLOAD_TOO_LARGE));
    assert_eq!(inflated(b"no gzip").err().map(|refusal| refusal.status), Some(StatusCode::BAD_REQUEST));
    assert_eq!(inflated(&crate::site::gzip::whole(&[b' '; 900]).unwrap()).ok().map(|message| message.len()), Some(900));
}
