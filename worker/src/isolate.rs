//! 隔离区状态：一次解析，多次请求共用。
//!
//! What one isolate keeps between requests: parsed settings, binding handles, the configuration
//! snapshot and the key cache. Nothing here belongs to a request, and no request waits for a
//! promise of another one (the runtime forbids it).

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use gateway::attempts::Refused;
use gateway::config::{KeyCache, Secret};
use gateway::envelope::Keyring;
use gateway::hops::InstanceId;
use gateway::pool::Pool;
use gateway::settings::Settings;
use gateway::tail::Tail;
use worker::Env;
use worker::web_sys::Request;

use crate::access;
use crate::admission_client::AdmissionClient;
use crate::snapshot::SnapshotCell;
use crate::store::Store;

thread_local! {
    static ISOLATE: RefCell<Option<Rc<Isolate>>> = const { RefCell::new(None) };
}

/// State of this isolate.
pub(crate) struct Isolate {
    pub(crate) settings: Settings,
    pub(crate) keyring: Option<Keyring>,
    /// By which this gateway knows a request that comes back to it.
    pub(crate) instance: Option<InstanceId>,
    pub(crate) store: Store,
    pub(crate) admission: AdmissionClient,
    pub(crate) snapshot: SnapshotCell,
    pub(crate) keys: RefCell<KeyCache>,
    /// Addresses that have sent too many wrong tokens.
    pub(crate) refused: RefCell<Refused>,
    pub(crate) access_keys: access::Keys,
    /// What is sent when requests are over.
    pub(crate) tail: RefCell<Tail>,
    /// Permits that were granted ahead.
    pub(crate) pool: RefCell<Pool>,
    colo: OnceCell<String>,
}

impl Isolate {
    /// The state of this isolate, made from the bindings at the first request.
    pub(crate) fn get(env: &Env) -> worker::Result<Rc<Self>> {
        if let Some(isolate) = ISOLATE.with_borrow(Clone::clone) {
            return Ok(isolate);
        }
        let settings = Settings::parse(|name| env.var(name).ok().map(|value| value.to_string()));
        let keyring = keyring(&settings);
        for problem in &settings.problems {
            crate::log::configuration_problem(problem);
        }
        let isolate = Rc::new(Self {
            instance: settings.encryption_key.as_ref().map(InstanceId::of),
            settings,
            keyring,
            store: Store::new(env.d1("DB")?),
            admission: AdmissionClient::new(env.durable_object("LIMITER")?),
            snapshot: SnapshotCell::default(),
            keys: RefCell::new(KeyCache::new()),
            refused: RefCell::default(),
            access_keys: access::Keys::default(),
            tail: RefCell::default(),
            pool: RefCell::default(),
            colo: OnceCell::new(),
        });
        ISOLATE.set(Some(Rc::clone(&isolate)));
        Ok(isolate)
    }
}

impl Isolate {
    /// Location of this isolate, which any of its requests tells; empty where there is none.
    pub(crate) fn colo(&self, req: &Request) -> &str {
        self.colo
            .get_or_init(|| crate::log::colo(req).unwrap_or_default())
    }
}

/// The settings have checked both keys already, so a keyring fails only where there is no key.
fn keyring(settings: &Settings) -> Option<Keyring> {
    let current = settings.encryption_key.as_ref()?;
    let previous = settings
        .encryption_key_previous
        .as_ref()
        .map(Secret::expose);
    Keyring::new(current.expose(), previous).ok()
}
