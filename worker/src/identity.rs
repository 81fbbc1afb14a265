//! 验明管理员：令牌、会话、Access，以及太多错误之后的等待。
//!
//! Finds out who sends an admin request, by the rules of [`gateway::identity`]. Wrong tokens are counted
//! per client address by an object, so that all isolates of all locations share one count; an address that
//! has sent too many is refused whatever it sends, and this isolate remembers that.

use std::cell::OnceCell;

use admission::Instant;
use gateway::attempts::{Address, Attempt};
use gateway::auth::{self, Role};
use gateway::error::{ErrorCode, GatewayError};
use gateway::identity::{self, Identity, Presented};
use gateway::routes::Access;
use gateway::session::Session;
use worker::Request;

use crate::clock::now;
use crate::isolate::Isolate;
use crate::{access, log};

/// Deny by default: without an identity that may use the route there is no answer but an error. `actor`
/// becomes who it is as soon as that is known, also where he may not use the route.
pub(crate) async fn authorize(
    access: Access,
    req: &Request,
    isolate: &Isolate,
    actor: &OnceCell<String>,
) -> Result<Identity, GatewayError> {
    let address = address(req);
    isolate.refused.borrow().check(&address, now())?;
    let header = |name| req.headers().get(name).ok().flatten();
    let (authorization, cookie) = (header("authorization"), header("cookie"));
    let assertion = header("cf-access-jwt-assertion");
    let presented = identity::presented(
        authorization.as_deref(),
        cookie.as_deref(),
        assertion.as_deref(),
    );
    let identity = match presented {
        Presented::Nothing | Presented::Unreadable => None,
        Presented::Token(token) => {
            let role = auth::token_role(token, &isolate.settings);
            if role.is_none() {
                see(isolate, &address, true).await;
            }
            role.map(Identity::of_token)
        }
        Presented::Session(value) => isolate
            .keyring
            .as_ref()
            .and_then(|keyring| Session::open(value, keyring, &isolate.settings, now()))
            .map(Identity::from),
        Presented::Assertion(token) => access::identity(token, isolate).await,
    };
    let identity = identity.ok_or_else(|| auth::no_role(&isolate.settings))?;
    actor.get_or_init(|| identity.actor().to_owned());
    identity::same_origin(
        identity.via,
        &req.inner().method(),
        header("sec-fetch-site").as_deref(),
        header("origin").as_deref(),
        &own_origin(req),
    )?;
    identity.may_use(access)?;
    Ok(identity)
}

/// The role of a token with which somebody signs in. An address that has sent too many wrong ones is
/// refused before the token is looked at, or a lucky guess would still be answered.
pub(crate) async fn sign_in(
    req: &Request,
    token: &str,
    isolate: &Isolate,
) -> Result<Role, GatewayError> {
    let address = address(req);
    isolate.refused.borrow().check(&address, now())?;
    see(isolate, &address, false).await;
    isolate.refused.borrow().check(&address, now())?;
    if let Some(role) = auth::token_role(token, &isolate.settings) {
        return Ok(role);
    }
    see(isolate, &address, true).await;
    if isolate.settings.admin_token.is_none() {
        return Err(auth::no_role(&isolate.settings));
    }
    Err(GatewayError::new(
        ErrorCode::Unauthorized,
        "This is neither the admin nor the viewer token.",
    )
    .param("token"))
}

/// Asks the object that counts for this address, and remembers a refusal. The wrong token that is one too
/// many is still answered as wrong, the next is refused. Where the object does not answer, nobody is
/// refused: the tokens are long enough to be safe without a count.
async fn see(isolate: &Isolate, address: &Address, wrong: bool) {
    let attempt = Attempt {
        address: address.clone(),
        limit: isolate.settings.auth_failures_max,
        wrong,
    };
    match isolate.admission.attempt(&attempt).await {
        Ok(Some(until)) => note(isolate, address, until),
        Ok(None) => {}
        Err(error) => log::limiter_error("", "attempt", &error),
    }
}

fn note(isolate: &Isolate, address: &Address, until: Instant) {
    isolate.refused.borrow_mut().note(address, until, now());
}

fn address(req: &Request) -> Address {
    let connecting_ip = req.headers().get("cf-connecting-ip").ok().flatten();
    Address::of(connecting_ip.as_deref())
}

/// Scheme and host under which the browser sees this gateway.
fn own_origin(req: &Request) -> String {
    req.url()
        .map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}
