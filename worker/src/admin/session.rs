//! 登录与退出：令牌换会话 cookie。
//!
//! Signing in and out. The session itself is [`gateway::session`]; nothing of it is stored here.

use gateway::admin_api::SignIn;
use gateway::error::GatewayError;
use gateway::identity::Identity;
use gateway::session::{self, Session};
use std::cell::OnceCell;
use std::rc::Rc;
use worker::Request;

use super::{Answer, json_body, no_content, no_keyring, respond, set_header};
use crate::clock::now;
use crate::isolate::Isolate;
use crate::{identity, random};

pub(super) async fn begin(
    req: &Request,
    isolate: &Rc<Isolate>,
    actor: &OnceCell<String>,
) -> Answer {
    let sign_in = SignIn::parse(&json_body(req).await?)?;
    let role = identity::sign_in(req, sign_in.token.expose(), isolate).await?;
    actor.get_or_init(|| role.as_str().to_owned());
    let keyring = isolate
        .keyring
        .as_ref()
        .ok_or_else(|| no_keyring("Nobody can sign in"))?;
    let session = Session::beginning(role, now());
    let value = session
        .seal(keyring, &isolate.settings, random::bytes()?)
        .map_err(|_refused| GatewayError::internal("the cipher refused to seal a session"))?;
    let response = respond(200, &Identity::from(session).view())?;
    set_header(&response, "set-cookie", &session::set_cookie(&value))?;
    Ok(response)
}

/// Whoever asks for it gets rid of his cookie; there is nothing else to end.
pub(super) fn end() -> Answer {
    let response = no_content();
    set_header(&response, "set-cookie", &session::clear_cookie())?;
    Ok(response)
}
