//! 试连服务器：发出一次请求，交给规则判断。
//!
//! Carries out `POST /api/servers/{id}/test`. What is asked, how much of the answer is read and what it
//! means is said by [`gateway::server_test`]; this module calls `fetch` and watches the time.

use futures::future::{Either, select};
use gateway::server_test::ServerTestView;
use gateway::server_test::{self, ANSWER_BYTES_MAX, ANSWER_WAIT_MAX, ModelsRequest, Reply};
use gateway::sql::{self, ServerRow};
use worker::web_sys::AbortController;
use worker::{AbortSignal, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

use super::{Admin, Answer, not_found, respond};
use crate::body;
use crate::clock::now;

pub(super) async fn run(admin: &Admin<'_>, id: &str) -> Answer {
    let rows: Vec<ServerRow> = admin.rows(sql::server_by_id(id)).await?;
    let row = rows.into_iter().next().ok_or_else(not_found)?;
    let opened = match row.open_key(admin.keyring()) {
        Ok(opened) => opened,
        Err(reason) => return respond(200, &ServerTestView::key_unreadable(reason)),
    };
    let asked_at = now();
    let reply = ask(&server_test::request(&row.base_url, &opened.secret)).await;
    let took = now().saturating_since(asked_at);
    let server = row.into_server(None);
    let view = ServerTestView::new(&server.models, &opened.secret, &reply, took);
    respond(200, &view)
}

/// Sends the request and reads the answer; both together have one bound.
async fn ask(request: &ModelsRequest) -> Reply {
    let controller = match AbortController::new() {
        Ok(controller) => controller,
        Err(error) => return unreachable(&worker::Error::from(error)),
    };
    let signal = AbortSignal::from(controller.signal());
    let asking = std::pin::pin!(exchange(request, &signal));
    match select(asking, Delay::from(ANSWER_WAIT_MAX)).await {
        Either::Left((reply, _)) => reply.unwrap_or_else(|error| unreachable(&error)),
        Either::Right(_) => {
            controller.abort();
            Reply::Timeout
        }
    }
}

async fn exchange(request: &ModelsRequest, signal: &AbortSignal) -> worker::Result<Reply> {
    let headers = Headers::new();
    headers.set("authorization", request.authorization.expose())?;
    headers.set("accept", "application/json")?;
    let mut init = RequestInit::new();
    init.with_method(Method::Get)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual);
    let fetch = Fetch::Request(Request::new_with_init(&request.url, &init)?);
    let response = fetch.send_with_signal(signal).await?;
    let status = response.status_code();
    let body = body::read_response(response, ANSWER_BYTES_MAX).await?;
    Ok(Reply::Answer { status, body })
}

fn unreachable(error: &worker::Error) -> Reply {
    Reply::Unreachable(error.to_string())
}
