//! Cloudflare Access 的签名核验：公钥从团队取来，由平台验签。
//!
//! Verifies the signature of an assertion with the keys that the team publishes, and keeps those keys for a
//! while; what the assertion must say is [`gateway::access`]. Any failure gives no identity and stands in
//! the log.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use admission::Instant;
use futures::future::{Either, select};
use gateway::access::{
    Assertion, KEY_SET_AGE_MAX, KEY_SET_AGE_MIN, KEY_SET_BYTES_MAX, KeySet, PublicKey, key_set_url,
};
use gateway::identity::Identity;
use gateway::settings::AccessSettings;
use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Crypto, CryptoKey};
use worker::{Delay, Fetch, Url};

use crate::body;
use crate::clock::now;
use crate::isolate::Isolate;
use crate::log;

/// The team's keys come from a server in the same network as this Worker.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// The keys of the team, and when they were fetched.
#[derive(Default)]
pub(crate) struct Keys {
    fetched: RefCell<Option<(Rc<KeySet>, Instant)>>,
}

/// Who an assertion vouches for, if its signature is the team's.
pub(crate) async fn identity(token: &str, isolate: &Isolate) -> Option<Identity> {
    let settings = isolate.settings.access.as_ref()?;
    let assertion = Assertion::parse(token)?;
    let verified = match verify(&assertion, settings, &isolate.access_keys).await {
        Ok(verified) => verified,
        Err(error) => {
            log::access_error(&worker::Error::from(error).to_string());
            false
        }
    };
    if verified {
        assertion.identity(settings, now())
    } else {
        None
    }
}

async fn verify(
    assertion: &Assertion,
    settings: &AccessSettings,
    keys: &Keys,
) -> Result<bool, JsValue> {
    let mut set = keys.current(settings).await?;
    if set.key(&assertion.key_id).is_none() {
        set = keys.after_rotation(settings).await?;
    }
    let Some(public) = set.key(&assertion.key_id) else {
        return Ok(false);
    };
    let subtle = Reflect::get(&js_sys::global(), &JsValue::from_str("crypto"))?
        .unchecked_into::<Crypto>()
        .subtle();
    let key: CryptoKey = JsFuture::from(subtle.import_key_with_object(
        "jwk",
        &jwk(public)?,
        &algorithm()?,
        false,
        &Array::of1(&JsValue::from_str("verify")),
    )?)
    .await?
    .unchecked_into();
    let verified = JsFuture::from(
        subtle.verify_with_object_and_buffer_source_and_buffer_source(
            &algorithm()?,
            &key,
            &Uint8Array::from(assertion.signature.as_slice()),
            &Uint8Array::from(assertion.signed.as_bytes()),
        )?,
    );
    Ok(verified.await?.is_truthy())
}

impl Keys {
    /// The keys, no older than they may be.
    async fn current(&self, settings: &AccessSettings) -> Result<Rc<KeySet>, JsValue> {
        self.younger_than(KEY_SET_AGE_MAX, settings).await
    }

    /// The keys once more, because one is missing: the team may have begun to sign with a new one.
    async fn after_rotation(&self, settings: &AccessSettings) -> Result<Rc<KeySet>, JsValue> {
        self.younger_than(KEY_SET_AGE_MIN, settings).await
    }

    async fn younger_than(
        &self,
        age_max: Duration,
        settings: &AccessSettings,
    ) -> Result<Rc<KeySet>, JsValue> {
        let known = self.fetched.borrow().clone();
        if let Some((set, fetched_at)) = known
            && now().saturating_since(fetched_at) < age_max
        {
            return Ok(set);
        }
        let set = Rc::new(fetch(settings).await?);
        self.fetched.replace(Some((Rc::clone(&set), now())));
        Ok(set)
    }
}

async fn fetch(settings: &AccessSettings) -> Result<KeySet, JsValue> {
    let failed = |text: &str| JsValue::from_str(&format!("the keys of Access: {text}"));
    let url: Url = key_set_url(settings)
        .parse()
        .map_err(|_error| failed("the team's domain makes no URL"))?;
    let answer = async {
        let response = Fetch::Url(url).send().await?;
        if response.status_code() != 200 {
            return Ok(None);
        }
        body::read_response(response, KEY_SET_BYTES_MAX).await
    };
    let bytes = match select(Box::pin(answer), Delay::from(ANSWER_WAIT_MAX)).await {
        Either::Left((bytes, _)) => {
            bytes.map_err(|error: worker::Error| failed(&error.to_string()))?
        }
        Either::Right(_) => return Err(failed("no answer in time")),
    };
    let bytes = bytes.ok_or_else(|| failed("no answer with 200 and of a bounded size"))?;
    KeySet::parse(&bytes).ok_or_else(|| failed("the answer is no key set"))
}

fn jwk(public: &PublicKey) -> Result<Object, JsValue> {
    let fields = [
        ("kty", "RSA"),
        ("n", &public.n),
        ("e", &public.e),
        ("alg", "RS256"),
    ];
    object(&fields)
}

fn algorithm() -> Result<Object, JsValue> {
    object(&[("name", "RSASSA-PKCS1-v1_5"), ("hash", "SHA-256")])
}

fn object(fields: &[(&str, &str)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &JsValue::from_str(name), &JsValue::from_str(value))?;
    }
    Ok(object)
}
