//! 桌前：一台浏览器、一个网关、一个登录的人。
//!
//! Owns what every test of the console begins and ends with: a browser that all share, a page of the test's
//! own, signing in, pictures for looking at, and the check that nothing was complained about and nothing left
//! the origin.

use std::ops::Deref;
use std::path::Path;

use gateway_tests::harness::{Browser, Gateway, Page, root};

/// Somebody at a browser.
pub(crate) struct Desk<'d> {
    pub(crate) gateway: &'d Gateway,
    page: Page<'d>,
}

impl<'d> Deref for Desk<'d> {
    type Target = Page<'d>;

    fn deref(&self) -> &Self::Target {
        &self.page
    }
}

impl<'d> Desk<'d> {
    /// A page with nothing in it yet, in English, before a gateway.
    pub(crate) async fn new(browser: &'d Browser, gateway: &'d Gateway) -> Self {
        Self::reading("en-GB", browser, gateway).await
    }

    /// The same with a browser that asks for another language, such as `zh-CN`.
    pub(crate) async fn reading(
        language: &str,
        browser: &'d Browser,
        gateway: &'d Gateway,
    ) -> Self {
        let page = browser.page().await;
        page.prefer_language(language).await;
        Self { gateway, page }
    }

    /// Goes to a path of the console.
    pub(crate) async fn visit(&self, path: &str) {
        self.go(&format!("{}{path}", self.gateway.base_url())).await;
    }

    /// Goes to a path and signs in there as administrator (the page must be in English).
    pub(crate) async fn sign_in(&self, path: &str) {
        self.sign_in_with(path, self.gateway.admin_token()).await;
    }

    /// The same as somebody who may only look.
    pub(crate) async fn sign_in_as_viewer(&self, path: &str) {
        self.sign_in_with(path, self.gateway.viewer_token()).await;
    }

    async fn sign_in_with(&self, path: &str, token: &str) {
        self.visit(path).await;
        self.enter("Access token", token).await;
        self.choose("button", "Sign in").await;
        self.see(".shell").await;
    }

    /// Waits until this page is there: its first heading.
    pub(crate) async fn is_at(&self, title: &str) {
        self.see_text("h1", title).await;
    }

    /// For looking at it: a picture in the folder that `SLUICE_SCREENSHOTS` names, if it does.
    pub(crate) async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("SLUICE_SCREENSHOTS") {
            let file = Path::new(&folder).join(format!("console-{name}.png"));
            self.screenshot(&file).await;
        }
    }

    /// An accessibility checker (axe-core) finds nothing serious or critical in what is shown.
    pub(crate) async fn is_accessible(&self, what: &str) {
        let file = root().join("node_modules/axe-core/axe.min.js");
        let checker = std::fs::read_to_string(file).expect("axe-core: npm ci installs it");
        self.evaluate(&format!("{checker}; true")).await;
        // What still fades in has colours of its own.
        self.evaluate("Promise.all(document.getAnimations().filter((one) => one.effect?.getComputedTiming().iterations !== Infinity).map((one) => one.finished.catch(() => {})))").await;
        let found = self
            .evaluate("axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => html.slice(0, 160) + ' ' + (any[0]?.message ?? '')).join(' | ')}`))")
            .await;
        assert_eq!(found, serde_json::json!([]), "{what}");
    }

    /// What every test ends with: no error on the browser's console, no breach of the policy, nothing asked of
    /// another origin.
    pub(crate) fn is_clean(&self) {
        assert_eq!(self.complaints(), Vec::<String>::new());
        assert_eq!(self.asked_elsewhere(self.gateway.base_url()), []);
    }
}
