//! Addresses.

/// `scheme://host[:port]` of an address.
pub fn origin(url: &str) -> &str {
    let address = url.split('?').next().unwrap_or(url);
    let host = address.find("://").map_or(0, |place| place + 3);
    let end = address[host..].find('/');
    &address[..end.map_or(address.len(), |place| host + place)]
}

/// Encodes everything but the unreserved characters of RFC 3986.
pub fn percent_encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}
