//! Key files and the certificates beside them. Each is read, and its passphrase asked for, once and
//! before the first connection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::public::{KeyData, RsaPublicKey};
use russh::keys::{Certificate, PrivateKey, PublicKey};

/// The largest key file that is read, in bytes.
const MAX_KEY_BYTES: u64 = 64 << 10;

/// Asks the operator for a key's passphrase; `None` where nobody can be asked.
pub type PassphrasePrompt<'a> = &'a mut dyn FnMut(&Path) -> Option<String>;

/// Why a key file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFault {
    /// There is no such file.
    Missing,
    /// It cannot be read.
    Unreadable(String),
    /// Others than its owner may read it, in octal.
    Exposed(u32),
    /// It is encrypted and nobody gave a passphrase.
    Encrypted,
    /// The passphrase did not open it.
    WrongPassphrase,
    /// It is no private key that we read.
    NotAKey(String),
    /// It is the public half, and no agent holds the private one.
    PublicHalf,
    /// It is a security key's handle: only an agent can ask the device.
    SecurityKey,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::Exposed(mode) => write!(
                f,
                "others may read it (mode {mode:04o}), so it is not used; `chmod 600` it"
            ),
            Self::Encrypted => f.write_str(
                "is encrypted, and there is no terminal to ask for its passphrase; add it to ssh-agent with `ssh-add`",
            ),
            Self::WrongPassphrase => f.write_str("the passphrase does not open it"),
            Self::NotAKey(why) => write!(f, "is not a private key that can be read: {why}"),
            Self::PublicHalf => f.write_str(
                "is a public key, and no agent holds its private half; name the private key, or `ssh-add` it",
            ),
            Self::SecurityKey => f.write_str(
                "is a security key (sk), which only an agent can use; add it with `ssh-add`",
            ),
        }
    }
}

/// A key file as far as it could be read.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    /// The private key, or why there is none.
    pub(super) key: Result<Arc<PrivateKey>, KeyFault>,
    /// Its public half, which `FILE.pub` tells even where the key is locked.
    pub(super) public: Option<PublicKey>,
    /// `FILE-cert.pub`.
    pub(super) certificate: Option<Certificate>,
}

impl KeyFile {
    /// Reads a key file, without asking anybody. A public key may stand in the private one's place:
    /// then only an agent can use it.
    pub(super) fn read(path: &Path) -> Self {
        let public = |path: &Path| {
            let text = read_small(path).ok()?;
            PublicKey::from_openssh(text.trim()).ok()
        };
        let certificate = read_certificate(&beside(path, "-cert.pub")).ok();
        if let Some(key) = public(path) {
            return Self {
                key: Err(KeyFault::PublicHalf),
                public: Some(key),
                certificate,
            };
        }
        let key = load(path, &mut |_| None);
        let public = match &key {
            Ok(key) => Some(key.public_key().clone()),
            Err(_) => public(&beside(path, ".pub")).or_else(|| public_of_locked(path)),
        };
        Self {
            key,
            public,
            certificate,
        }
    }

    /// Asks for the passphrase of a locked key, once.
    pub(super) fn unlock(&mut self, path: &Path, prompt: PassphrasePrompt<'_>) {
        if self.key == Err(KeyFault::Encrypted) {
            self.key = load(path, prompt);
        }
    }
}

/// The public half of a locked key: OpenSSH's own format has it in the clear.
fn public_of_locked(path: &Path) -> Option<PublicKey> {
    let text = read_small(path).ok()?;
    let locked = PrivateKey::from_openssh(&text).ok()?;
    Some(locked.public_key().clone())
}

/// Reads a user certificate.
pub(super) fn read_certificate(path: &Path) -> Result<Certificate, KeyFault> {
    let text = read_small(path)?;
    Certificate::from_openssh(text.trim())
        .map_err(|error| KeyFault::NotAKey(format!("no certificate: {error}")))
}

pub(super) fn same_key(a: &PublicKey, b: &PublicKey) -> bool {
    // The comment is part of a key's equality, so the data alone is compared.
    a.key_data() == b.key_data()
}

/// Returns the size of an RSA key, in bits.
pub(in crate::ssh) fn rsa_bits(key: &KeyData) -> Option<u32> {
    key.rsa().map(RsaPublicKey::key_size)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn unreadable(error: &std::io::Error) -> KeyFault {
    match error.kind() {
        std::io::ErrorKind::NotFound => KeyFault::Missing,
        _ => KeyFault::Unreadable(error.to_string()),
    }
}

/// Reads a file that is no pipe or device, and no larger than keys are.
fn read_small(path: &Path) -> Result<String, KeyFault> {
    let data = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !data.is_file() {
        return Err(KeyFault::NotAKey("it is not a file".into()));
    }
    if data.len() > MAX_KEY_BYTES {
        return Err(KeyFault::NotAKey("it is larger than 64 KiB".into()));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(&error))
}

/// Whether a key in one of the PEM formats is encrypted: russh says so only of its own.
fn says_encrypted(text: &str) -> bool {
    let mut head = text.lines().take(4);
    head.any(|line| line.contains("BEGIN ENCRYPTED PRIVATE KEY") || line.contains(",ENCRYPTED"))
}

fn load(path: &Path, prompt: PassphrasePrompt<'_>) -> Result<Arc<PrivateKey>, KeyFault> {
    use std::os::unix::fs::PermissionsExt as _;
    let data = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    // ssh refuses such a key, and whoever can read it has the hosts.
    let mode = data.permissions().mode() & 0o777;
    if data.is_file() && mode & 0o077 != 0 {
        return Err(KeyFault::Exposed(mode));
    }
    let text = read_small(path)?;
    let plain = if says_encrypted(&text) {
        Err(russh::keys::Error::KeyIsEncrypted)
    } else {
        russh::keys::decode_secret_key(&text, None)
    };
    let key = match plain {
        Err(russh::keys::Error::KeyIsEncrypted) => {
            let passphrase = prompt(path).ok_or(KeyFault::Encrypted)?;
            let opened = match super::pem::open(&text, &passphrase) {
                Some(plain) => russh::keys::decode_secret_key(&plain, None),
                None => russh::keys::decode_secret_key(&text, Some(&passphrase)),
            };
            opened.map_err(|error| {
                tracing::debug!(key = %path.display(), %error, "an encrypted key");
                KeyFault::WrongPassphrase
            })?
        }
        other => other.map_err(|error| KeyFault::NotAKey(error.to_string()))?,
    };
    if key.algorithm().as_str().starts_with("sk-") {
        return Err(KeyFault::SecurityKey);
    }
    Ok(Arc::new(key))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const PASSPHRASE: &str = "sesame street";

    /// Makes a key with the real ssh-keygen and reads it.
    fn made(dir: &Path, name: &str, args: &[&str]) -> Result<Arc<PrivateKey>, KeyFault> {
        let path = dir.join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-C", "", "-f"])
            .arg(&path)
            .args(args)
            .output()
            .unwrap();
        assert!(made.status.success(), "{name}: {made:?}");
        let mut asked = 0;
        let read = load(&path, &mut |_| {
            asked += 1;
            Some(PASSPHRASE.to_owned())
        });
        assert_eq!(asked, u32::from(args.contains(&PASSPHRASE)), "{name}");
        read
    }

    #[test]
    fn every_key_that_ssh_keygen_writes_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let kinds = [
            ("ed25519", "256"),
            ("ecdsa", "256"),
            ("ecdsa", "384"),
            ("ecdsa", "521"),
            ("rsa", "2048"),
        ];
        let mut failed = Vec::new();
        for (kind, bits) in kinds {
            for format in ["RFC4716", "PEM", "PKCS8"] {
                for passphrase in ["", PASSPHRASE] {
                    let name = format!("{kind}-{bits}-{format}-{}", passphrase.len());
                    let args = ["-t", kind, "-b", bits, "-m", format, "-N", passphrase];
                    if let Err(fault) = made(dir.path(), &name, &args) {
                        failed.push(format!("{name}: {fault}"));
                    }
                }
            }
        }
        let ciphers = [
            "3des-cbc",
            "aes128-cbc",
            "aes192-cbc",
            "aes256-cbc",
            "aes128-ctr",
            "aes192-ctr",
            "aes256-ctr",
            "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
        ];
        for cipher in ciphers {
            let args = ["-t", "ed25519", "-Z", cipher, "-N", PASSPHRASE];
            if let Err(fault) = made(dir.path(), cipher, &args) {
                failed.push(format!("{cipher}: {fault}"));
            }
        }
        assert_eq!(failed, Vec::<String>::new());
    }
}
