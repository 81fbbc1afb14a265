//! 按角色与名字操作：像读屏用户那样找到控件。
//!
//! Owns finding what a page offers by its role and accessible name, as the browser itself computes them, and
//! using it with mouse and keyboard. What is found this way is found by a screen reader, too; what an open
//! dialog makes inert is not found. Knows no page of ours.
//!
//! Invariant: a control is used only when there is exactly one of that role and name.

use serde_json::{Value, json};

use super::Page;
use crate::harness::{SOON, within};

/// Something on a page that has a role and a name.
#[derive(Debug)]
pub struct Control<'p, 'b> {
    page: &'p Page<'b>,
    told: String,
    node: u64,
}

impl<'b> Page<'b> {
    /// The one control of this role and name, once it is there: `page.control("button", "Save")`. Roles are
    /// those of ARIA, such as `button`, `link`, `textbox`, `switch`, `radio`, `menuitem`, `heading`, `dialog`.
    pub async fn control(&self, role: &str, name: &str) -> Control<'_, 'b> {
        let told = format!("{role} {name:?}");
        let found = tokio::time::timeout(SOON, async {
            loop {
                if let [node] = self.nodes(role, name).await[..] {
                    return node;
                }
                self.frame().await;
            }
        });
        let Ok(node) = found.await else {
            let count = self.nodes(role, name).await.len();
            panic!(
                "{told}: {count} of them, not one; the page shows: {}",
                self.shown().await
            );
        };
        Control {
            page: self,
            told,
            node,
        }
    }

    /// How many controls of this role and name there are now.
    pub async fn count(&self, role: &str, name: &str) -> usize {
        self.nodes(role, name).await.len()
    }

    /// Waits until no control of this role and name is left.
    pub async fn without(&self, role: &str, name: &str) {
        let gone = async {
            while !self.nodes(role, name).await.is_empty() {
                self.frame().await;
            }
        };
        within(SOON, &format!("no {role} {name:?}"), gone).await;
    }

    /// Clicks the one control of this role and name.
    pub async fn choose(&self, role: &str, name: &str) {
        self.control(role, name).await.click().await;
    }

    /// Types into the text field of this name, in place of what is there.
    pub async fn enter(&self, name: &str, text: &str) {
        self.control("textbox", name).await.fill(text).await;
    }

    /// Types into whatever has the focus.
    pub async fn write(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses Tab until the control of this role and name has the focus; fails after so many that it cannot
    /// be reached with the keyboard.
    pub async fn tab_to(&self, role: &str, name: &str) {
        let mut control = self.control(role, name).await;
        let mut stops = Vec::new();
        for _ in 0..TABS_MAX {
            if !control.is_there().await {
                control = self.control(role, name).await;
            }
            if control.has_focus().await {
                return;
            }
            self.press("Tab").await;
            stops.push(self.focused().await);
        }
        panic!(
            "{} cannot be reached with the keyboard, only {stops:?}",
            control.told
        );
    }

    /// Waits until the page shows this text somewhere.
    pub async fn reads(&self, text: &str) {
        self.see_text("body", text).await;
    }

    /// Role and accessible name of what has the focus.
    pub async fn focused(&self) -> (String, String) {
        let object = self.handle("document.activeElement").await;
        let node = self
            .call("DOM.describeNode", json!({ "objectId": object }))
            .await;
        let node = node["node"]["backendNodeId"].clone();
        let tree = json!({ "backendNodeId": node, "fetchRelatives": false });
        let tree = self.call("Accessibility.getPartialAXTree", tree).await;
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        (
            text(&tree["nodes"][0]["role"]),
            text(&tree["nodes"][0]["name"]),
        )
    }

    async fn nodes(&self, role: &str, name: &str) -> Vec<u64> {
        let object = self.handle("document").await;
        let query = json!({ "objectId": object, "role": role, "accessibleName": name });
        let found = self.call("Accessibility.queryAXTree", query).await;
        let nodes = found["nodes"].as_array().cloned().unwrap_or_default();
        let seen = nodes.iter().filter(|node| node["ignored"] != true);
        seen.filter_map(|node| node["backendDOMNodeId"].as_u64())
            .collect()
    }

    async fn handle(&self, expression: &str) -> Value {
        let answer = self
            .call("Runtime.evaluate", json!({ "expression": expression }))
            .await;
        answer["result"]["objectId"].clone()
    }

    /// Waits until the page has been drawn once more.
    pub async fn frame(&self) {
        self.evaluate("new Promise((drawn) => requestAnimationFrame(() => drawn()))")
            .await;
    }
}

/// More than any page of ours has controls before its own.
const TABS_MAX: usize = 80;

impl Control<'_, '_> {
    /// Clicks its middle with the mouse; fails if something covers it.
    pub async fn click(&self) {
        // Scrolling moves it: the place is asked for in the frame after, when nothing moves any more.
        let place = self
            .run(
                "async function () {
                    this.scrollIntoView({ block: 'center', behavior: 'instant' });
                    const drawn = () => new Promise((done) => requestAnimationFrame(done));
                    let box = this.getBoundingClientRect();
                    for (let last; !last || last.x !== box.x || last.y !== box.y; ) {
                        last = box;
                        await drawn();
                        box = this.getBoundingClientRect();
                    }
                    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                    const top = document.elementFromPoint(x, y);
                    const label = this.closest('label') ?? this;
                    return { x, y, free: label.contains(top) || this.contains(top), top: top?.outerHTML.slice(0, 200) };
                }",
            )
            .await;
        assert_eq!(
            place["free"], true,
            "{} is covered by {}",
            self.told, place["top"]
        );
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let count = u32::from(kind != "mouseMoved");
            let event = json!({"type": kind, "x": place["x"], "y": place["y"], "button": "left", "clickCount": count});
            self.page.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Takes it with the mouse, moves it in steps to the middle of another one, and lets go.
    pub async fn drag_to(&self, other: &Self) {
        const STEPS: u32 = 6;
        let middle = "function () { const box = this.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }";
        let (from, to) = (self.run(middle).await, other.run(middle).await);
        let number = |place: &Value, index: usize| place[index].as_f64().unwrap_or_default();
        let mouse = async |kind: &str, share: f64| {
            let at =
                |index| number(&from, index) + (number(&to, index) - number(&from, index)) * share;
            let event = json!({"type": kind, "x": at(0), "y": at(1), "button": "left", "buttons": 1, "clickCount": 1});
            self.page.call("Input.dispatchMouseEvent", event).await;
            self.page.frame().await;
        };
        mouse("mouseMoved", 0.0).await;
        mouse("mousePressed", 0.0).await;
        for step in 1..=STEPS {
            mouse("mouseMoved", f64::from(step) / f64::from(STEPS)).await;
        }
        mouse("mouseReleased", 1.0).await;
    }

    /// Types the text in place of what is there.
    pub async fn fill(&self, text: &str) {
        self.run("function () { this.focus(); this.select?.(); }")
            .await;
        if text.is_empty() {
            self.page.press("Backspace").await;
        } else {
            self.page.write(text).await;
        }
    }

    /// Gives it the focus.
    pub async fn focus(&self) {
        self.run("function () { this.focus(); }").await;
    }

    /// Whether the page still has it: what replaced it may have the same role and name.
    async fn is_there(&self) -> bool {
        self.run("function () { return this.isConnected; }").await == true
    }

    /// Whether it has the focus.
    pub async fn has_focus(&self) -> bool {
        self.run("function () { return document.activeElement === this; }")
            .await
            == true
    }

    /// A property of its element, such as `value`, `checked`, `disabled` or `textContent`.
    pub async fn property(&self, name: &str) -> Value {
        self.run(&format!("function () {{ return this[{}]; }}", json!(name)))
            .await
    }

    /// An attribute of its element; null if it has none.
    pub async fn attribute(&self, name: &str) -> Value {
        self.run(&format!(
            "function () {{ return this.getAttribute({}); }}",
            json!(name)
        ))
        .await
    }

    /// What a function says whose `this` is the element.
    pub async fn run(&self, function: &str) -> Value {
        let object = self
            .page
            .call("DOM.resolveNode", json!({ "backendNodeId": self.node }))
            .await;
        let call = json!({
            "objectId": object["object"]["objectId"],
            "functionDeclaration": function,
            "awaitPromise": true,
            "returnByValue": true,
        });
        let answer = self.page.call("Runtime.callFunctionOn", call).await;
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{}: {}",
            self.told,
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }
}
