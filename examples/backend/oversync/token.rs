//! Bearer tokens: JSON Web Tokens, signed with a key that is no secret.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64_URL;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

/// The stand-ins' key.
pub const KEY: &[u8] = b"a key that everybody knows";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// The device, which is the source of its changes.
    pub did: Option<String>,
    /// When it ends, in seconds since 1970; None: never.
    pub exp: Option<i64>,
}

/// A token for a user and a device, valid for so many seconds (below 0: it has expired).
pub fn sign(user: &str, device: Option<&str>, lives_seconds: i64) -> String {
    let now = now();
    let mut claims = json!({"sub": user, "iat": now, "exp": now + lives_seconds});
    if let Some(device) = device {
        claims["did"] = json!(device);
    }
    encode("HS256", &claims, KEY)
}

/// What a token says, if it is good.
pub fn verify(token: &str) -> Option<Claims> {
    check(token).ok()
}

/// Any claims under `HS256`, `HS512` or `none`.
pub fn encode(algorithm: &str, claims: &Value, key: &[u8]) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"}).to_string();
    let signed = format!(
        "{}.{}",
        BASE64_URL.encode(header),
        BASE64_URL.encode(claims.to_string())
    );
    let signature = signature(algorithm, &signed, key).unwrap_or_default();
    format!("{signed}.{}", BASE64_URL.encode(signature))
}

/// What a token says, or what is wrong with it.
pub fn check(token: &str) -> Result<Claims, &'static str> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature_sent] = parts[..] else {
        return Err("token is malformed: token contains an invalid number of segments");
    };
    let malformed = "token is malformed: not base64 JSON";
    let header = json_of(header).ok_or(malformed)?;
    let claims = json_of(claims).ok_or(malformed)?;
    let sent = BASE64_URL.decode(signature_sent).map_err(|_| malformed)?;
    let signed = &token[..token.len() - signature_sent.len() - 1];
    let right = header["alg"]
        .as_str()
        .and_then(|algorithm| signature(algorithm, signed, KEY));
    if right != Some(sent) {
        return Err("token signature is invalid: signature is invalid");
    }
    let exp = claims["exp"].as_i64();
    if exp.is_some_and(|end| end <= now()) {
        return Err("token has invalid claims: token is expired");
    }
    if claims["nbf"].as_i64().is_some_and(|begin| begin > now()) {
        return Err("token has invalid claims: token is not valid yet");
    }
    let text = |name: &str| {
        let text = claims[name].as_str().filter(|text| !text.is_empty());
        text.map(str::to_string)
    };
    let sub = text("sub").ok_or("missing sub (user ID) in token")?;
    Ok(Claims {
        sub,
        did: text("did"),
        exp,
    })
}

fn json_of(part: &str) -> Option<Value> {
    let bytes = BASE64_URL.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// None: an algorithm that is not taken.
fn signature(algorithm: &str, signed: &str, key: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        "HS256" => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(signed.as_bytes());
            Some(mac.finalize().into_bytes().to_vec())
        }
        "HS512" => {
            let mut mac = Hmac::<Sha512>::new_from_slice(key).ok()?;
            mac.update(signed.as_bytes());
            Some(mac.finalize().into_bytes().to_vec())
        }
        _ => None,
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
