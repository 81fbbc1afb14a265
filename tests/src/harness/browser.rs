//! 真浏览器：Chromium，由 DevTools 协议驱动。
//!
//! Owns a headless Chromium and its [`Page`]s: going somewhere, waiting for what a user would see, clicking and
//! typing as a user does, and the record of all that a page asked for and complained about. Speaks the protocol
//! over a pipe (`devtools`), so there is no driver, no port and no library in between. Knows no page of ours.
//!
//! Invariant: the browser reaches nothing but this machine, whatever a page asks for, and every page has storage
//! of its own.

mod controls;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::devtools::Wire;
use super::process::Process;
use super::{SOON, within};
pub use controls::Control;

/// Start-up with a fresh profile on a busy machine.
const START: Duration = Duration::from_mins(1);

/// Names under which Linux distributions install it.
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// No sandbox: tests may run as root, and only our own pages are opened. The rest keeps the browser to itself.
const FLAGS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--mute-audio",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--remote-debugging-pipe",
];

/// The pipe's ends are descriptors 3 and 4 of the browser, and the standard ones here.
const START_IT: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null";

/// What a page may be asked to record, and the protocol's word for it.
const DOMAINS: [&str; 7] = [
    "Page",
    "Runtime",
    "Network",
    "Log",
    "Audits",
    "DOM",
    "Accessibility",
];

/// A running browser; it is killed when dropped.
#[derive(Debug)]
pub struct Browser {
    wire: Arc<Wire>,
    process: Process,
    _profile: TempDir,
}

/// One tab, in a context of its own: no cookie and nothing stored is shared with another.
#[derive(Debug)]
pub struct Page<'b> {
    browser: &'b Browser,
    session: String,
}

/// Something that a page asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Whole URL.
    pub url: String,
    /// Value of the `Authorization` header, if the page set one.
    pub authorization: Option<String>,
}

impl Browser {
    /// Starts Chromium, or says how to get one.
    pub async fn start() -> Self {
        let program = PROGRAMS.iter().find(|program| is_installed(program));
        let program = program.expect("a browser: make setup installs Debian's package chromium; other systems: install Chromium");
        let profile = TempDir::with_prefix("sluice-browser-").expect("a temporary directory");
        let mut command = Command::new("sh");
        command
            .args(["-c", START_IT, program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank");
        let (process, input, output) = Process::start_talking(command);
        let wire = Arc::new(Wire::new(input, output));
        let browser = Self {
            wire,
            process,
            _profile: profile,
        };
        let version = browser.wire.call(None, "Browser.getVersion", json!({}));
        let version = tokio::time::timeout(START, version).await;
        assert!(
            matches!(version, Ok(Ok(_))),
            "the browser does not start ({version:?}):\n{}",
            browser.process.log().text()
        );
        browser
    }

    /// Opens a blank page, 1280 by 800.
    pub async fn page(&self) -> Page<'_> {
        let context = self
            .call(None, "Target.createBrowserContext", json!({}))
            .await;
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = self.call(None, "Target.createTarget", target).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call(None, "Target.attachToTarget", attach).await;
        let session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        let page = Page {
            browser: self,
            session,
        };
        for domain in DOMAINS {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.resize(1280, 800).await;
        page
    }

    async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let answer = within(
            SOON,
            method,
            self.wire.call(session, method, params.clone()),
        )
        .await;
        answer.unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }
}

impl Page<'_> {
    /// Goes to a URL and waits until it and all that it names are loaded.
    pub async fn go(&self, url: &str) {
        let before = self.events().len();
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        assert_eq!(answer.get("errorText"), None, "{url}");
        let loaded = self.browser.wire.event(&self.session, before, |event| {
            event["method"] == "Page.loadEventFired"
        });
        within(SOON, &format!("{url} is loaded"), loaded).await;
    }

    /// Sets the size of the window in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Asks for dark or light colours, as the user's system would.
    pub async fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// The value of a JavaScript expression; a promise is awaited.
    pub async fn evaluate(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params).await;
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {}",
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true; it is looked at with every frame. Its value.
    pub async fn until(&self, what: &str, expression: &str) -> Value {
        let look = format!(
            "new Promise((done) => {{ const look = () => {{ const is = ({expression}); if (is) done(is); else requestAnimationFrame(look); }}; look(); }})"
        );
        let params = json!({"expression": look, "awaitPromise": true, "returnByValue": true});
        let wire = &self.browser.wire;
        let seen = wire.call(Some(&self.session), "Runtime.evaluate", params);
        let answer = tokio::time::timeout(SOON, seen).await;
        let Ok(Ok(answer)) = answer else {
            panic!("never seen: {what}; the page shows: {}", self.shown().await);
        };
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{what}: {}",
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an element is there and can be seen.
    pub async fn see(&self, selector: &str) {
        let seen = format!(
            "document.querySelector({})?.checkVisibility()",
            json!(selector)
        );
        self.until(&format!("`{selector}`"), &seen).await;
    }

    /// Waits until an element shows this text somewhere in it.
    pub async fn see_text(&self, selector: &str, text: &str) {
        let (selector, wanted) = (json!(selector), json!(text));
        let seen = format!(
            "[...document.querySelectorAll({selector})].some((one) => one.checkVisibility() && one.innerText.includes({wanted}))"
        );
        self.until(&format!("{text:?} in {selector}"), &seen).await;
    }

    /// The text of an element as it is shown.
    pub async fn text(&self, selector: &str) -> String {
        let text = format!("document.querySelector({}).innerText", json!(selector));
        let text = self.evaluate(&text).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks the middle of an element with the mouse, once it is there. Fails if something covers it.
    pub async fn click(&self, selector: &str) {
        self.see(selector).await;
        // Scrolling moves it: the place is asked for in the frame after.
        let place = format!(
            "new Promise((done) => {{
                const one = document.querySelector({});
                one.scrollIntoView({{block: 'center', behavior: 'instant'}});
                requestAnimationFrame(() => {{
                    const box = one.getBoundingClientRect();
                    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                    const top = document.elementFromPoint(x, y);
                    done({{x, y, free: one.contains(top), top: top?.outerHTML.slice(0, 200)}});
                }});
            }})",
            json!(selector)
        );
        let place = self.evaluate(&place).await;
        assert_eq!(
            place["free"], true,
            "`{selector}` is covered by {}",
            place["top"]
        );
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let count = u32::from(kind != "mouseMoved");
            let event = json!({"type": kind, "x": place["x"], "y": place["y"], "button": "left", "clickCount": count});
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Clicks into a field, and types the text in place of what is there.
    pub async fn fill(&self, selector: &str, text: &str) {
        self.click(selector).await;
        self.evaluate(&format!(
            "document.querySelector({}).select()",
            json!(selector)
        ))
        .await;
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses a key, named as `KeyboardEvent.key` names it, such as `Tab` or `Enter`.
    pub async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            "Backspace" => (8, ""),
            "Delete" => (46, ""),
            "Home" => (36, ""),
            "End" => (35, ""),
            "ArrowLeft" => (37, ""),
            "ArrowRight" => (39, ""),
            "ArrowUp" => (38, ""),
            "ArrowDown" => (40, ""),
            other => panic!("the code of the key {other} is not known here"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code});
            if kind == "keyDown" {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Writes what the window shows as PNG.
    pub async fn screenshot(&self, file: &Path) {
        use base64::Engine as _;
        let picture = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let picture = picture["data"].as_str().expect("a picture");
        let picture = base64::engine::general_purpose::STANDARD
            .decode(picture)
            .expect("base64");
        std::fs::write(file, picture).expect("the file can be written");
    }

    /// By how many CSS pixels the page is wider than its window.
    pub async fn overflow(&self) -> i64 {
        let overflow =
            "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.evaluate(overflow).await.as_i64().expect("a number")
    }

    /// All that the page has asked for so far, itself included.
    pub fn asked(&self) -> Vec<Asked> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = self.events();
        let requests = events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        requests
            .map(|event| &event["params"]["request"])
            .map(|request| Asked {
                method: text(&request["method"]),
                url: text(&request["url"]),
                authorization: request["headers"]["Authorization"]
                    .as_str()
                    .map(str::to_owned),
            })
            .collect()
    }

    /// What it asked of anybody but this origin; data that a page carries in itself is nobody's.
    pub fn asked_elsewhere(&self, origin: &str) -> Vec<Asked> {
        let inside = [
            format!("{origin}/"),
            "data:".to_owned(),
            "blob:".to_owned(),
            "about:".to_owned(),
        ];
        let mut asked = self.asked();
        asked.retain(|asked| !inside.iter().any(|start| asked.url.starts_with(start)));
        asked
    }

    /// Asks for a language, as the user's browser would; for pages opened from now on.
    pub async fn prefer_language(&self, tag: &str) {
        self.call("Emulation.setLocaleOverride", json!({ "locale": tag }))
            .await;
        let source = format!(
            "Object.defineProperty(navigator, 'languages', {{ get: () => [{0}] }}); Object.defineProperty(navigator, 'language', {{ get: () => {0} }});",
            json!(tag)
        );
        self.call(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": source }),
        )
        .await;
    }

    /// Cuts the page off from the network, or connects it again.
    pub async fn cut_off(&self, offline: bool) {
        let conditions = json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.call("Network.emulateNetworkConditions", conditions)
            .await;
    }

    /// A figure that the browser keeps of the page, such as `Nodes` or `JSHeapUsedSize`, after what is garbage
    /// was thrown away.
    pub async fn figure(&self, name: &str) -> f64 {
        self.call("HeapProfiler.collectGarbage", json!({})).await;
        self.call("Performance.enable", json!({})).await;
        let metrics = self.call("Performance.getMetrics", json!({})).await;
        let metrics = metrics["metrics"].as_array().cloned().unwrap_or_default();
        let found = metrics.iter().find(|metric| metric["name"] == name);
        found
            .and_then(|metric| metric["value"].as_f64())
            .unwrap_or_else(|| panic!("the browser has no figure {name}"))
    }

    /// From now on what the page asks of such addresses, `*/api/live*`, gets no answer.
    pub async fn keep_waiting(&self, addresses: &str) {
        let patterns = json!({ "patterns": [{ "urlPattern": addresses }] });
        self.call("Fetch.enable", patterns).await;
    }

    /// Loses the cookies of the page, as when a session ends.
    pub async fn forget_session(&self) {
        self.call("Network.clearBrowserCookies", json!({})).await;
    }

    /// Goes back or forth in the history, as the buttons do.
    pub async fn go_back(&self) {
        self.evaluate("history.back()").await;
    }

    /// Loads the page again, as the button does, and waits until it is there.
    pub async fn reload(&self) {
        let before = self.events().len();
        self.call("Page.reload", json!({})).await;
        let loaded = self.browser.wire.event(&self.session, before, |event| {
            event["method"] == "Page.loadEventFired"
        });
        within(SOON, "the page is loaded again", loaded).await;
    }

    /// Clicks the one link of this name and reads the file that it brings, with the name under which it was saved.
    pub async fn download(&self, name: &str) -> (String, String) {
        self.saved_by(self.choose("link", name)).await
    }

    /// The file that an action brings, with the name under which it was saved.
    pub async fn saved_by(&self, action: impl Future<Output = ()>) -> (String, String) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let params = json!({"behavior": "allow", "downloadPath": folder.path()});
        self.call("Page.setDownloadBehavior", params).await;
        let before = self.events().len();
        action.await;
        let saved = self.browser.wire.event(&self.session, before, |event| {
            event["method"] == "Page.downloadProgress" && event["params"]["state"] == "completed"
        });
        within(SOON, "the file is saved", saved).await;
        let mut files = std::fs::read_dir(folder.path()).expect("the folder is there");
        let file = files.next().expect("a file").expect("a readable entry");
        let text = std::fs::read_to_string(file.path()).expect("the file is text");
        (file.file_name().to_string_lossy().into_owned(), text)
    }

    /// Path and query of the present place.
    pub async fn place(&self) -> String {
        let place = self.evaluate("location.pathname + location.search").await;
        place.as_str().unwrap_or_default().to_owned()
    }

    /// Whatever a developer would see in red: exceptions, errors on the console, violations of the page's policy,
    /// what could not be loaded. Refusals of the API are answers, and for a test to judge where it expects one.
    pub fn complaints(&self) -> Vec<String> {
        let events = self.events();
        let complaints = events.iter().filter_map(|event| {
            let params = &event["params"];
            let is_complaint = match event["method"].as_str()? {
                "Runtime.exceptionThrown" => true,
                "Runtime.consoleAPICalled" => {
                    params["type"] == "error" || params["type"] == "assert"
                }
                "Log.entryAdded" => {
                    let url = params["entry"]["url"].as_str().unwrap_or_default();
                    let of_api = url.contains("/api/") || url.contains("/v1/");
                    let is_answer = params["entry"]["source"] == "network" && of_api;
                    params["entry"]["level"] == "error" && !is_answer
                }
                "Audits.issueAdded" => params["issue"]["code"] == "ContentSecurityPolicyIssue",
                _ => false,
            };
            is_complaint.then(|| params.to_string())
        });
        complaints.collect()
    }

    async fn shown(&self) -> String {
        let shown = self.evaluate("document.body?.innerText ?? ''").await;
        shown
            .as_str()
            .unwrap_or_default()
            .chars()
            .take(2_000)
            .collect()
    }

    fn events(&self) -> Vec<Value> {
        self.browser.wire.events(&self.session)
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params).await
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
