//! Encrypted PEM keys of the old kind (RFC 1421 headers) that are no RSA keys, as `ssh-keygen -m PEM`
//! writes them. russh opens such keys only of RSA.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use base64ct::{Base64, Encoding as _};

const BEGIN: &str = "-----BEGIN EC PRIVATE KEY-----";
const END: &str = "-----END EC PRIVATE KEY-----";
const CIPHER: &str = "DEK-Info: AES-128-CBC,";

/// Opens a key of this kind and returns it as PEM without encryption. `None` if it is of another
/// kind, or if the passphrase does not fit.
pub(super) fn open(text: &str, passphrase: &str) -> Option<String> {
    let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let mut iv = None;
    let mut encoded = String::new();
    for line in body.lines().map(str::trim) {
        if let Some(hex) = line.strip_prefix(CIPHER) {
            iv = u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes);
        } else if !line.contains(':') {
            encoded.push_str(line);
        }
    }
    let iv = iv?;
    // OpenSSL's key derivation with one round of MD5: the passphrase, then half of the IV as salt.
    let mut hash = md5::Context::new();
    hash.consume(passphrase.as_bytes());
    hash.consume(iv.get(..8)?);
    let key = hash.finalize().0;
    let mut data = Base64::decode_vec(&encoded).ok()?;
    let opened = cbc::Decryptor::<Aes128>::new_from_slices(&key, &iv)
        .ok()?
        .decrypt_padded::<Pkcs7>(&mut data)
        .ok()?;
    let mut plain = format!("{BEGIN}\n");
    let encoded = Base64::encode_string(opened);
    for line in encoded.as_bytes().chunks(64) {
        plain.push_str(std::str::from_utf8(line).ok()?);
        plain.push('\n');
    }
    Some(plain + END + "\n")
}
