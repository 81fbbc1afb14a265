//! 控制台的外壳：登录、语言、外观、地址、窄屏。
//!
//! What holds on every page: signing in and out, a wrong token, language and colours, links that survive a
//! reload, the back button, a narrow window, and a session that ends while somebody works.

use gateway_tests::harness::Browser;
use libtest_mimic::Trial;

use super::desk::Desk;
use crate::stage::gateway;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        a_wrong_token_is_told_beside_the_field_and_the_right_one_opens_the_page_of_the_link,
        language_and_colours_are_the_browsers_until_somebody_chooses_and_stay_chosen,
        links_and_the_back_button_lead_to_pages_and_the_heading_gets_the_focus,
        a_path_of_no_page_is_told_and_leads_back,
        every_page_fits_a_telephone_in_both_languages,
        a_viewer_is_told_so_and_signs_out,
        signing_in_first_and_again_and_a_path_of_no_page_are_accessible,
    ]
}

const PAGES: [&str; 8] = [
    "/",
    "/servers",
    "/keys",
    "/usage",
    "/logs",
    "/playground",
    "/audit",
    "/nothing",
];

async fn a_wrong_token_is_told_beside_the_field_and_the_right_one_opens_the_page_of_the_link() {
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, gateway().await).await;
    desk.visit("/audit?actor=admin").await;
    desk.is_at("Sign in to Sluice").await;
    desk.picture("sign-in").await;
    desk.press("Enter").await;
    desk.see_text("#token-error", "Enter a token").await;
    desk.enter("Access token", "not-the-token-of-anybody").await;
    desk.press("Enter").await;
    desk.see_text("#token-error", "not known").await;
    let field = desk.control("textbox", "Access token").await;
    assert_eq!(field.attribute("aria-invalid").await, "true");
    assert_eq!(field.property("value").await, "not-the-token-of-anybody");
    field.fill(desk.gateway.admin_token()).await;
    desk.choose("button", "Sign in").await;
    desk.is_at("Audit").await;
    assert_eq!(desk.place().await, "/audit?actor=admin");
    desk.reload().await;
    desk.is_at("Audit").await;
    let stored = desk
        .evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie])")
        .await;
    assert!(
        !stored.to_string().contains(desk.gateway.admin_token()),
        "{stored}"
    );
    desk.is_clean();
}

async fn language_and_colours_are_the_browsers_until_somebody_chooses_and_stay_chosen() {
    let browser = Browser::start().await;
    let desk = Desk::reading("zh-TW", &browser, gateway().await).await;
    desk.prefer_dark(true).await;
    desk.visit("/").await;
    desk.is_at("登录 Sluice").await;
    let ground = "getComputedStyle(document.body).backgroundColor";
    let dark = desk.evaluate(ground).await;
    desk.choose("button", "语言").await;
    desk.choose("menuitemradio", "English").await;
    desk.is_at("Sign in to Sluice").await;
    assert_eq!(desk.evaluate("document.documentElement.lang").await, "en");
    desk.choose("button", "Colours").await;
    desk.choose("menuitemradio", "Light").await;
    desk.until("another ground", &format!("{ground} !== {dark}"))
        .await;
    desk.reload().await;
    desk.is_at("Sign in to Sluice").await;
    assert_ne!(desk.evaluate(ground).await, dark);
    desk.choose("button", "Colours").await;
    desk.choose("menuitemradio", "As the system").await;
    desk.until("the ground of before", &format!("{ground} === {dark}"))
        .await;
    desk.is_clean();
}

async fn links_and_the_back_button_lead_to_pages_and_the_heading_gets_the_focus() {
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, gateway().await).await;
    desk.sign_in("/servers").await;
    desk.is_at("Servers").await;
    desk.choose("link", "Keys").await;
    desk.is_at("Keys").await;
    assert_eq!(desk.place().await, "/keys");
    assert_eq!(desk.evaluate("document.title").await, "Keys · Sluice");
    desk.until(
        "the heading has the focus",
        "document.activeElement?.id === 'page-title'",
    )
    .await;
    assert_eq!(
        desk.control("link", "Keys")
            .await
            .attribute("aria-current")
            .await,
        "page"
    );
    desk.go_back().await;
    desk.is_at("Servers").await;
    assert_eq!(desk.place().await, "/servers");
    desk.is_clean();
}

async fn a_path_of_no_page_is_told_and_leads_back() {
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, gateway().await).await;
    desk.sign_in("/no/such/page").await;
    desk.is_at("There is nothing here").await;
    desk.choose("link", "To the overview").await;
    desk.is_at("Overview").await;
    assert_eq!(desk.place().await, "/");
    desk.is_clean();
}

async fn every_page_fits_a_telephone_in_both_languages() {
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, gateway().await).await;
    desk.resize(360, 740).await;
    desk.visit("/").await;
    desk.enter("Access token", desk.gateway.admin_token()).await;
    desk.choose("button", "Sign in").await;
    desk.is_at("Overview").await;
    for language in ["English", "简体中文"] {
        desk.choose("button", "Language").await;
        desk.choose("menuitemradio", language).await;
        for path in PAGES {
            desk.visit(path).await;
            desk.see("#page-title").await;
            assert_eq!(desk.overflow().await, 0, "{path} in {language}");
        }
        desk.visit("/").await;
        desk.see("#page-title").await;
    }
    desk.choose("button", "打开导航").await;
    desk.choose("link", "密钥").await;
    desk.is_at("密钥").await;
    desk.without("dialog", "导航").await;
    desk.is_clean();
}

async fn a_viewer_is_told_so_and_signs_out() {
    let browser = Browser::start().await;
    let desk = Desk::new(&browser, gateway().await).await;
    desk.sign_in_as_viewer("/").await;
    desk.reads("Read only").await;
    desk.resize(360, 740).await;
    desk.frame().await;
    assert_eq!(desk.overflow().await, 0, "a viewer at 360 pixels");
    desk.choose("button", "Account").await;
    desk.reads("Viewer").await;
    desk.choose("menuitem", "Sign out").await;
    desk.is_at("Sign in to Sluice").await;
    desk.reload().await;
    desk.is_at("Sign in to Sluice").await;
    desk.is_clean();
}

async fn signing_in_first_and_again_and_a_path_of_no_page_are_accessible() {
    let browser = Browser::start().await;
    let gateway = gateway().await;
    for dark in [false, true] {
        let desk = Desk::new(&browser, gateway).await;
        desk.prefer_dark(dark).await;
        desk.visit("/no/such/page").await;
        desk.is_at("Sign in to Sluice").await;
        desk.is_accessible(&format!("sign-in, dark: {dark}")).await;
        desk.press("Enter").await;
        desk.see_text("#token-error", "Enter a token").await;
        desk.is_accessible(&format!("sign-in with a fault, dark: {dark}"))
            .await;
        desk.enter("Access token", gateway.admin_token()).await;
        desk.press("Enter").await;
        desk.is_at("There is nothing here").await;
        desk.is_accessible(&format!("no page, dark: {dark}")).await;
        desk.choose("link", "Keys").await;
        desk.is_at("Keys").await;
        desk.forget_session().await;
        desk.choose("link", "Servers").await;
        desk.control("dialog", "Sign in again").await;
        desk.is_accessible(&format!("signing in again, dark: {dark}"))
            .await;
        desk.is_clean();
    }
}
