//! Cloudflare Access 的设定：团队地址、受众、谁是管理员。
//!
//! Owns the four variables behind which a verified identity of Cloudflare Access counts as admin or viewer.
//! Without all that is needed no identity counts for anything.

use crate::admin_api::{Rules, base_url};

/// Addresses of one list; more belong into an Access policy.
const EMAILS_LEN_MAX: usize = 200;
/// Longest address there is (RFC 5321, 4.5.3.1.3).
const EMAIL_CHARS_MAX: usize = 254;

/// Whom Cloudflare Access vouches for, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessSettings {
    /// `https://<team>.cloudflareaccess.com`: who signs, and where the keys are.
    pub issuer: String,
    /// The application's audience tag.
    pub audience: String,
    /// `ADMIN_EMAILS`
    pub admins: Vec<EmailPattern>,
    /// `VIEWER_EMAILS`
    pub viewers: Vec<EmailPattern>,
}

/// One address, or `*@` and a domain for everybody there. Case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailPattern(String);

impl EmailPattern {
    /// Reads one entry of a list.
    fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let well_formed = !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && (local == "*" || !local.contains('*'))
            && text.len() <= EMAIL_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        well_formed.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether it names this address.
    #[must_use]
    pub fn matches(&self, email: &str) -> bool {
        let email = email.to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some(at_domain) => email.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && at_domain.strip_prefix('@') == Some(domain)
            }),
            None => email == self.0,
        }
    }
}

/// Reads the four variables; adds a sentence to `problems` for each that is wrong.
pub(super) fn parse(
    value: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<String>,
) -> Option<AccessSettings> {
    let domain = value("ACCESS_TEAM_DOMAIN");
    let audience = value("ACCESS_AUDIENCE");
    let admins = emails("ADMIN_EMAILS", &value, problems);
    let viewers = emails("VIEWER_EMAILS", &value, problems);
    let (domain, audience) = match (domain, audience) {
        (None, None) if admins.is_empty() && viewers.is_empty() => return None,
        (Some(domain), Some(audience)) => (domain, audience),
        _ => {
            problems.push(
                "ACCESS_TEAM_DOMAIN and ACCESS_AUDIENCE are needed together; Access identities count for nothing."
                    .to_owned(),
            );
            return None;
        }
    };
    if admins.is_empty() && viewers.is_empty() {
        problems.push(
            "ADMIN_EMAILS and VIEWER_EMAILS are both empty; Access identities count for nothing."
                .to_owned(),
        );
        return None;
    }
    let url = if domain.contains("://") {
        domain
    } else {
        format!("https://{domain}")
    };
    let Ok(issuer) = base_url::check(&url, Rules::default()) else {
        problems.push(
            "ACCESS_TEAM_DOMAIN must be a host such as team.cloudflareaccess.com; it is ignored."
                .to_owned(),
        );
        return None;
    };
    Some(AccessSettings {
        issuer,
        audience,
        admins,
        viewers,
    })
}

fn emails(
    name: &str,
    value: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<String>,
) -> Vec<EmailPattern> {
    let text = value(name).unwrap_or_default();
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let parsed: Option<Vec<EmailPattern>> = entries.map(EmailPattern::parse).collect();
    if let Some(emails) = parsed.filter(|emails| emails.len() <= EMAILS_LEN_MAX) {
        emails
    } else {
        problems.push(format!(
            "{name} must be at most {EMAILS_LEN_MAX} addresses such as a@example.com or *@example.com, \
             separated by commas; it is ignored."
        ));
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<AccessSettings>, Vec<String>) {
        let mut problems = Vec::new();
        let value = |name: &str| {
            let pair = pairs.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| (*value).to_owned())
        };
        let settings = parse(value, &mut problems);
        (settings, problems)
    }

    #[test]
    fn all_four_make_a_setting_and_none_is_no_problem() {
        assert_eq!(read(&[]), (None, Vec::new()));
        let (settings, problems) = read(&[
            ("ACCESS_TEAM_DOMAIN", "team.cloudflareaccess.com"),
            ("ACCESS_AUDIENCE", "aud"),
            ("ADMIN_EMAILS", "Root@Example.com, *@ops.example.com"),
            ("VIEWER_EMAILS", "v@example.com"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(settings.issuer, "https://team.cloudflareaccess.com");
        let is_admin = |email| settings.admins.iter().any(|admin| admin.matches(email));
        assert!(is_admin("root@example.com") && is_admin("x@OPS.example.com"));
        assert!(!is_admin("v@example.com") && !is_admin("@ops.example.com"));
        assert!(!is_admin("x@ops.example.com.evil.com") && !is_admin("x@evil.com@ops.example.com"));
    }

    #[test]
    fn what_is_half_set_or_wrong_opens_nothing_and_is_said() {
        let team = ("ACCESS_TEAM_DOMAIN", "team.cloudflareaccess.com");
        let audience = ("ACCESS_AUDIENCE", "aud");
        let admins = ("ADMIN_EMAILS", "a@example.com");
        for pairs in [
            vec![team, admins],
            vec![audience, admins],
            vec![admins],
            vec![team, audience],
            vec![
                ("ACCESS_TEAM_DOMAIN", "http://evil.example"),
                audience,
                admins,
            ],
            vec![("ACCESS_TEAM_DOMAIN", "a b"), audience, admins],
            vec![team, audience, ("ADMIN_EMAILS", "a@b@c")],
            vec![team, audience, ("ADMIN_EMAILS", "nobody")],
            vec![team, audience, ("ADMIN_EMAILS", "a*@example.com")],
        ] {
            let (settings, problems) = read(&pairs);
            assert_eq!(settings, None, "{pairs:?}");
            assert!(!problems.is_empty(), "{pairs:?}");
        }
        let many = vec!["a@example.com"; EMAILS_LEN_MAX + 1].join(",");
        let (settings, problems) = read(&[team, audience, ("ADMIN_EMAILS", &many)]);
        assert_eq!((settings, problems.len()), (None, 2));
    }
}
