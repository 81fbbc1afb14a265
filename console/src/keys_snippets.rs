//! 现成的代码片段：curl、Python、Node。
//!
//! Owns the ready-made calls that are shown beside a new secret, for the terminal and the official clients of
//! OpenAI, and which models they can name. What people chose (apps, models) is quoted by the rules of each
//! language.
//!
//! Invariant: no value can end its quotes.

use std::fmt::Write as _;

/// A language of the snippets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A shell with curl.
    Curl,
    /// The package `openai` of Python.
    Python,
    /// The package `openai` of Node.
    Node,
}

impl Language {
    /// All, in the order of their tabs.
    pub const ALL: [Self; 3] = [Self::Curl, Self::Python, Self::Node];

    /// How it is called everywhere.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Python => "Python",
            Self::Node => "Node.js",
        }
    }
}

/// What a snippet calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Of the gateway, without a slash at the end.
    pub origin: String,
    /// The gateway key.
    pub secret: String,
    /// Sent as `App-Name`.
    pub app: String,
    /// The model.
    pub model: String,
}

const QUESTION: &str = "Say hello in one sentence.";

/// The snippet of a language.
#[must_use]
pub fn snippet(language: Language, call: &Call) -> String {
    let Call {
        origin,
        secret,
        app,
        model,
    } = call;
    let base = quoted(&format!("{origin}/v1"));
    let (key, app_text, name) = (quoted(secret), quoted(app), quoted(model));
    let question = quoted(QUESTION);
    match language {
        Language::Curl => {
            let body = format!(
                r#"{{"model":{name},"messages":[{{"role":"user","content":{question}}}]}}"#
            );
            curl(
                &format!("{origin}/v1/chat/completions"),
                &[
                    ("Authorization", format!("Bearer {secret}")),
                    ("App-Name", app.clone()),
                    ("Content-Type", "application/json".to_owned()),
                ],
                &body,
            )
        }
        Language::Python => format!(
            "from openai import OpenAI\n\n\
             client = OpenAI(\n    base_url={base},\n    api_key={key},\n    default_headers={{\"App-Name\": {app_text}}},\n)\n\n\
             answer = client.chat.completions.create(\n    model={name},\n    messages=[{{\"role\": \"user\", \"content\": {question}}}],\n)\n\
             print(answer.choices[0].message.content)\n"
        ),
        Language::Node => format!(
            "import OpenAI from \"openai\";\n\n\
             const client = new OpenAI({{\n  baseURL: {base},\n  apiKey: {key},\n  defaultHeaders: {{ \"App-Name\": {app_text} }},\n}});\n\n\
             const answer = await client.chat.completions.create({{\n  model: {name},\n  messages: [{{ role: \"user\", content: {question} }}],\n}});\n\
             console.log(answer.choices[0].message.content);\n"
        ),
    }
}

/// A call as a command for the shell, one header on a line.
#[must_use]
pub fn curl(url: &str, headers: &[(&str, String)], body: &str) -> String {
    let mut text = format!("curl {}", word(url));
    for (name, value) in headers {
        // Writing into a String cannot fail.
        let _ = write!(text, " \\\n  -H {}", word(&format!("{name}: {value}")));
    }
    let _ = write!(text, " \\\n  -d {}", word(body));
    text
}

/// The models that a key may name, of those that servers list by name: what a snippet can call. A name that
/// the key spells out and a pattern of a server covers is one as well.
#[must_use]
pub fn usable_models(of_key: &[String], of_servers: &[String]) -> Vec<String> {
    let mut usable: Vec<String> = Vec::new();
    let spelled = of_key.iter().filter(|name| !name.ends_with('*'));
    let served = of_servers.iter().filter(|name| {
        !name.ends_with('*')
            && (of_key.is_empty() || of_key.iter().any(|pattern| covers(pattern, name)))
    });
    for name in spelled.chain(served) {
        if !usable.contains(name) {
            usable.push(name.clone());
        }
    }
    usable
}

fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// A literal of JSON, which is one of Python and JavaScript, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A word of the shell: between single quotes nothing has a meaning but their end.
fn word(text: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || "-_./:".contains(one);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(app: &str, model: &str) -> Call {
        Call {
            origin: "https://gateway.example".to_owned(),
            secret: "sk-sluice-abc".to_owned(),
            app: app.to_owned(),
            model: model.to_owned(),
        }
    }

    #[test]
    fn curl_can_be_pasted_into_a_shell() {
        let text = snippet(Language::Curl, &call("it's", "gpt-5"));
        assert_eq!(
            text,
            "curl https://gateway.example/v1/chat/completions \\\n  \
             -H 'Authorization: Bearer sk-sluice-abc' \\\n  \
             -H 'App-Name: it'\\''s' \\\n  \
             -H 'Content-Type: application/json' \\\n  \
             -d '{\"model\":\"gpt-5\",\"messages\":[{\"role\":\"user\",\"content\":\"Say hello in one sentence.\"}]}'"
        );
    }

    #[test]
    fn the_official_clients_get_url_key_app_and_model() {
        for language in [Language::Python, Language::Node] {
            let text = snippet(language, &call("chat-bot", "gpt-5"));
            for part in [
                "\"https://gateway.example/v1\"",
                "\"sk-sluice-abc\"",
                "\"App-Name\": \"chat-bot\"",
                "\"gpt-5\"",
            ] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }

    #[test]
    fn no_value_ends_its_quotes() {
        let text = snippet(Language::Python, &call("a\"b\\", "m\n\"x"));
        assert!(text.contains(r#""App-Name": "a\"b\\""#), "{text}");
        assert!(text.contains(r#"model="m\n\"x""#), "{text}");
        assert_eq!(word("$(rm)"), "'$(rm)'");
        assert_eq!(word("'"), r"''\'''");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn a_snippet_names_a_model_that_the_key_may_use() {
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let servers = list(&["gpt-5", "gpt-5-mini", "claude-*", "qwen3"]);
        assert_eq!(
            usable_models(&[], &servers),
            list(&["gpt-5", "gpt-5-mini", "qwen3"])
        );
        assert_eq!(
            usable_models(&list(&["gpt-5*", "claude-haiku"]), &servers),
            list(&["claude-haiku", "gpt-5", "gpt-5-mini"])
        );
        assert_eq!(usable_models(&list(&["qwen3"]), &servers), list(&["qwen3"]));
        assert!(usable_models(&list(&["none-*"]), &servers).is_empty());
    }
}
