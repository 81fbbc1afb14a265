//! 往返上游：发出、应答、结束。
//!
//! What happens between isolate and provider: a request arrives there, is refused or answered, and
//! its answer ends.

use super::{Event, World};
use admission::protocol::SettleOutcome;

impl World<'_> {
    pub(super) fn upstream(&mut self, request: usize) {
        let now = self.now();
        let entry = &mut self.requests[request];
        if entry.attempts_sent > entry.attempt {
            self.doubled += 1;
        }
        entry.attempts_sent += 1;
        let size = entry.size;
        let pace = self.scenario.apps[entry.app].pace;
        match self.provider.receive(size.tokens(), now) {
            Ok(record) => {
                let headers = pace.headers(&mut self.chance);
                let back = self.way_to_provider(request);
                self.agenda
                    .after(headers + back, Event::Headers { request });
                let body = headers + pace.body(size.output);
                self.agenda.after(body, Event::Body { request });
                self.requests[request].record = Some(record);
                if self.requests[request].gone {
                    // It left while the request was on its way.
                    self.provider.close(record, Some(size.prompt));
                    self.requests[request].record = None;
                    self.settle(request, None, SettleOutcome::ClientGone);
                }
            }
            Err(retry_after) => {
                let back = self.way_to_provider(request);
                let event = Event::TooMany {
                    request,
                    retry_after,
                };
                self.agenda.after(back, event);
            }
        }
    }

    pub(super) fn body_ends(&mut self, request: usize) {
        if let Some(record) = self.requests[request].record.take() {
            self.provider.close(record, None);
            let back = self.way_to_provider(request);
            self.agenda.after(back, Event::End { request });
        }
    }
}
