//! 页面与文件：安全头，以及真浏览器里的 /docs。
//!
//! Owns what a browser gets without the Worker: the headers of every page and file, the paths under which they
//! are found, and Swagger UI, which shows the API and sends a request with a token, all from this one origin.

use std::collections::BTreeMap;
use std::path::Path;

use gateway_tests::harness::{Answer, Browser, Gateway, Page, root};
use libtest_mimic::Trial;

use crate::stage::gateway;

/// What serves static files, and the headers that it reads.
const RULES: &str = "console/public/_headers";

/// Over plain http it means nothing and must not be sent.
const HTTPS_ONLY: &str = "strict-transport-security";

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        pages_and_files_have_the_headers_of_the_table_and_no_others_of_that_kind,
        pages_are_found_under_one_path_and_lead_there_from_others,
        own_answers_run_nothing_and_are_kept_by_nobody,
        files_are_compressed_for_whoever_takes_it_and_those_with_a_hash_are_kept_for_ever,
        a_navigation_to_any_page_of_the_console_gets_the_page_and_other_requests_do_not,
    ]
}

/// Those that start a browser.
pub(crate) fn browser_trials() -> Vec<Trial> {
    crate::trials![
        docs_lists_every_operation_and_sends_an_authorised_request_without_leaving_its_origin,
        pages_fit_a_telephone_and_a_desk,
        the_browser_tells_what_breaks_the_policy_and_what_would_leave_the_origin,
    ]
}

/// The rule of `_headers` for everything, names in lower case.
fn rules() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join(RULES)).expect("the rules");
    let lines = text.lines().skip_while(|line| *line != "/*").skip(1);
    let lines = lines.map_while(|line| line.strip_prefix("  "));
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect()
}

async fn pages_and_files_have_the_headers_of_the_table_and_no_others_of_that_kind() {
    let gateway = gateway().await;
    let rules = rules();
    assert!(rules.len() >= 8, "{rules:?}");
    let policy = &rules["content-security-policy"];
    for part in [
        "default-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "object-src 'none'",
    ] {
        assert!(
            policy.split("; ").any(|one| one == part),
            "{part} in {policy}"
        );
    }
    assert!(
        !policy.contains("'unsafe-inline'") && !policy.contains("'unsafe-eval'"),
        "{policy}"
    );
    for path in [
        "/",
        "/docs",
        "/docs/page.js",
        "/docs/swagger-ui.css",
        "/openapi.json",
        "/icon.svg",
    ] {
        let answer = gateway.request("GET", path).send().await.expect(200);
        for (name, value) in &rules {
            let expected = (name != HTTPS_ONLY).then_some(value.as_str());
            assert_eq!(answer.header(name), expected, "{name} of {path}");
        }
        let kept = gateway
            .request("GET", path)
            .header("if-none-match", answer.header("etag").expect("a tag"));
        let kept = kept.send().await.expect(304);
        assert_eq!(
            kept.header("content-security-policy"),
            Some(policy.as_str()),
            "{path}"
        );
    }
    let navigation = gateway
        .request("GET", "/servers")
        .header("sec-fetch-mode", "navigate");
    let page = navigation.send().await.expect(200);
    assert_eq!(
        page.header("content-security-policy"),
        Some(policy.as_str())
    );
}

async fn pages_are_found_under_one_path_and_lead_there_from_others() {
    let gateway = gateway().await;
    let get = |path: &'static str| gateway.request("GET", path).send();
    for (path, to) in [
        ("/docs/", "/docs"),
        ("/docs.html", "/docs"),
        ("/docs.html?a=1", "/docs?a=1"),
        ("/index.html", "/"),
    ] {
        let answer = get(path).await.expect(307);
        assert_eq!(answer.header("location"), Some(to), "{path}");
    }
    for path in [
        "/_headers",
        "/docs/..%2f_headers",
        "/docs/missing.js",
        "/docs/x",
        "/openapi.json/",
    ] {
        get(path).await.expect_error(404, "not_found");
    }
    gateway
        .request("POST", "/docs")
        .send()
        .await
        .expect_error(404, "not_found");
    let head = gateway.request("HEAD", "/docs").send().await.expect(200);
    assert!(head.body.is_empty() && head.header("etag").is_some());
}

async fn own_answers_run_nothing_and_are_kept_by_nobody() {
    let gateway = gateway().await;
    let answers: [Answer; 5] = [
        gateway.request("GET", "/health").send().await.expect(200),
        gateway
            .request("GET", "/api/nothing")
            .send()
            .await
            .expect(404),
        gateway
            .request("GET", "/v1/models")
            .send()
            .await
            .expect(401),
        gateway
            .admin("GET", "/api/servers")
            .send()
            .await
            .expect(200),
        gateway
            .admin("DELETE", "/api/keys/key_none")
            .send()
            .await
            .expect(404),
    ];
    for answer in answers {
        for (name, value) in gateway::hardening::HEADERS {
            assert_eq!(answer.header(name), Some(*value), "{name}: {answer:?}");
        }
        assert_eq!(answer.header(HTTPS_ONLY), None);
    }
}

async fn files_are_compressed_for_whoever_takes_it_and_those_with_a_hash_are_kept_for_ever() {
    let gateway = gateway().await;
    let page = gateway.request("GET", "/").send().await.expect(200).text();
    let names: Vec<&str> = page
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert!(names.len() >= 4, "{page}");
    for path in names {
        let plain = gateway.request("GET", path).send().await.expect(200);
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        assert_eq!(
            plain.header("cache-control"),
            Some("public, max-age=31536000, immutable"),
            "{path}"
        );
        for (accepted, encoding) in [
            ("br, gzip", Some("br")),
            ("gzip", Some("gzip")),
            ("br;q=0, identity", None),
        ] {
            let asked = gateway
                .request("GET", path)
                .header("accept-encoding", accepted);
            let answer = asked.send().await.expect(200);
            assert_eq!(
                answer.header("content-encoding"),
                encoding,
                "{path} for {accepted}"
            );
            assert_eq!(answer.header("vary"), Some("accept-encoding"), "{path}");
            assert_eq!(
                answer.header("content-type"),
                plain.header("content-type"),
                "{path}"
            );
            if encoding.is_some() {
                assert!(
                    answer.body.len() < plain.body.len(),
                    "{path} for {accepted}"
                );
                assert_ne!(answer.header("etag"), plain.header("etag"), "{path}");
            } else {
                assert_eq!(answer.body, plain.body, "{path}");
            }
        }
    }
    let page = gateway.request("GET", "/").send().await.expect(200);
    assert_eq!(
        page.header("cache-control"),
        Some("public, max-age=0, must-revalidate")
    );
}

async fn a_navigation_to_any_page_of_the_console_gets_the_page_and_other_requests_do_not() {
    let gateway = gateway().await;
    let page = gateway.request("GET", "/").send().await.expect(200).text();
    for path in ["/servers/new", "/logs/req_1", "/nothing/at/all?x=1"] {
        for (name, value) in [
            ("sec-fetch-mode", "navigate"),
            ("accept", "text/html,*/*;q=0.8"),
        ] {
            let answer = gateway
                .request("GET", path)
                .header(name, value)
                .send()
                .await
                .expect(200);
            assert_eq!(answer.text(), page, "{path} with {name}");
        }
        gateway
            .request("GET", path)
            .send()
            .await
            .expect_error(404, "not_found");
        let script = gateway
            .request("GET", path)
            .header("sec-fetch-mode", "cors")
            .header("accept", "text/html");
        script.send().await.expect_error(404, "not_found");
    }
    let api = gateway
        .request("GET", "/api/nothing")
        .header("sec-fetch-mode", "navigate");
    api.send().await.expect_error(404, "not_found");
}

async fn docs_lists_every_operation_and_sends_an_authorised_request_without_leaving_its_origin() {
    let gateway = Gateway::serve().start().await;
    let server = gateway
        .server("shown-in-docs")
        .base_url("http://127.0.0.1:9")
        .model("docs")
        .create()
        .await;
    let origin = gateway.base_url();
    let browser = Browser::start().await;
    let page = browser.page().await;
    page.go(&format!("{origin}/docs")).await;
    page.see("#operations-Servers-listServers").await;
    let listed = page
        .evaluate("document.querySelectorAll('.opblock').length")
        .await;
    assert_eq!(
        listed,
        gateway::routes::ENDPOINTS.len(),
        "operations on the page"
    );

    page.click("button.authorize").await;
    let token = "input[aria-label='auth-bearer-value'], #auth-bearer-value";
    page.see(token).await;
    page.evaluate("document.querySelectorAll('.auth-container').forEach((one) => { if (one.innerText.includes('adminToken')) one.id = 'admin'; })").await;
    page.fill("#admin input", gateway.admin_token()).await;
    page.click("#admin button.authorize").await;
    page.see_text("#admin", "Authorized").await;
    page.click("button.btn-done").await;

    let operation = "#operations-Servers-listServers";
    page.click(&format!("{operation} .opblock-summary-control"))
        .await;
    page.click(&format!("{operation} .try-out__btn")).await;
    page.click(&format!("{operation} .btn.execute")).await;
    page.see(&format!("{operation} .live-responses-table"))
        .await;
    page.see_text(
        &format!("{operation} .live-responses-table .response-col_status"),
        "200",
    )
    .await;
    page.see_text(&format!("{operation} .live-responses-table"), &server.id)
        .await;

    picture(&page, "docs-tried").await;

    let sent = page
        .asked()
        .into_iter()
        .filter(|asked| asked.url.starts_with(&format!("{origin}/api/servers")));
    let sent: Vec<_> = sent.map(|asked| asked.authorization).collect();
    assert_eq!(sent, [Some(format!("Bearer {}", gateway.admin_token()))]);
    assert_eq!(page.asked_elsewhere(origin), []);
    assert_eq!(page.complaints(), Vec::<String>::new());
    let stored = page.evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie])").await;
    assert!(
        !stored.to_string().contains(gateway.admin_token()),
        "{stored}"
    );
}

/// For looking at it: a picture in the folder that `SLUICE_SCREENSHOTS` names, if it does.
async fn picture(page: &Page<'_>, name: &str) {
    if let Some(folder) = std::env::var_os("SLUICE_SCREENSHOTS") {
        let file = Path::new(&folder).join(format!("{name}.png"));
        page.screenshot(&file).await;
    }
}

async fn the_browser_tells_what_breaks_the_policy_and_what_would_leave_the_origin() {
    let gateway = gateway().await;
    let browser = Browser::start().await;
    let page = browser.page().await;
    page.go(gateway.base_url()).await;
    assert_eq!(page.complaints(), Vec::<String>::new());
    let inline = "const one = document.createElement('script'); one.textContent = 'window.ran = true'; document.body.append(one); window.ran === true";
    assert_eq!(
        page.evaluate(inline).await,
        false,
        "no script inside a page"
    );
    let complaints = page.complaints();
    assert!(
        complaints.iter().any(|one| one.contains("script-src")),
        "{complaints:?}"
    );
    let fetched = page
        .evaluate("fetch('https://gateway.example/').then(() => 'sent', () => 'kept')")
        .await;
    assert_eq!(fetched, "kept");
    assert!(page.complaints().len() > complaints.len());
    page.go("data:text/html,<img src=https://gateway.example/picture>")
        .await;
    let elsewhere = page.asked_elsewhere(gateway.base_url());
    assert!(
        elsewhere
            .iter()
            .any(|asked| asked.url.ends_with("/picture")),
        "{elsewhere:?}"
    );
}

async fn pages_fit_a_telephone_and_a_desk() {
    let gateway = gateway().await;
    let browser = Browser::start().await;
    let page = browser.page().await;
    for (path, seen) in [("/docs", ".opblock"), ("/", "h1")] {
        for (width, height) in [(360, 740), (1440, 900)] {
            for dark in [false, true] {
                page.resize(width, height).await;
                page.prefer_dark(dark).await;
                page.go(&format!("{}{path}", gateway.base_url())).await;
                page.see(seen).await;
                let what = format!("{path} at {width} pixels, dark: {dark}");
                let colours = if dark { "dark" } else { "light" };
                picture(
                    &page,
                    &format!("page{}-{width}-{colours}", path.replace('/', "-")),
                )
                .await;
                assert_eq!(page.overflow().await, 0, "{what}");
                assert_eq!(page.complaints(), Vec::<String>::new(), "{what}");
            }
        }
    }
    assert_eq!(page.asked_elsewhere(gateway.base_url()), []);
}
