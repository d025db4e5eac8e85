//! Writing and reading the fields of SSH messages (RFC 4251, 5).

/// The kinds of messages that are sent or looked for here.
pub(crate) mod kind {
    pub(crate) const DISCONNECT: u8 = 1;
    pub(crate) const IGNORE: u8 = 2;
    pub(crate) const UNIMPLEMENTED: u8 = 3;
    pub(crate) const DEBUG: u8 = 4;
    pub(crate) const SERVICE_REQUEST: u8 = 5;
    pub(crate) const SERVICE_ACCEPT: u8 = 6;
    pub(crate) const EXT_INFO: u8 = 7;
    pub(crate) const KEXINIT: u8 = 20;
    pub(crate) const NEWKEYS: u8 = 21;
    pub(crate) const ECDH_INIT: u8 = 30;
    pub(crate) const ECDH_REPLY: u8 = 31;
    pub(crate) const USERAUTH_REQUEST: u8 = 50;
    pub(crate) const USERAUTH_FAILURE: u8 = 51;
    pub(crate) const USERAUTH_SUCCESS: u8 = 52;
    pub(crate) const USERAUTH_BANNER: u8 = 53;
    /// PK_OK, PASSWD_CHANGEREQ and INFO_REQUEST share a number.
    pub(crate) const USERAUTH_60: u8 = 60;
    pub(crate) const GLOBAL_REQUEST: u8 = 80;
    pub(crate) const REQUEST_SUCCESS: u8 = 81;
    pub(crate) const CHANNEL_OPEN: u8 = 90;
    pub(crate) const OPEN_CONFIRMATION: u8 = 91;
    pub(crate) const OPEN_FAILURE: u8 = 92;
    pub(crate) const WINDOW_ADJUST: u8 = 93;
    pub(crate) const CHANNEL_DATA: u8 = 94;
    pub(crate) const EXTENDED_DATA: u8 = 95;
    pub(crate) const CHANNEL_EOF: u8 = 96;
    pub(crate) const CHANNEL_CLOSE: u8 = 97;
    pub(crate) const CHANNEL_REQUEST: u8 = 98;
    pub(crate) const CHANNEL_SUCCESS: u8 = 99;
}

/// A message in the making.
#[derive(Debug, Clone)]
pub(crate) struct Pack(Vec<u8>);

impl Pack {
    /// Begins a message.
    pub(crate) fn of(kind: u8) -> Self {
        Self(vec![kind])
    }

    /// Begins a blob within a message.
    pub(crate) fn blob() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    pub(crate) fn byte(self, value: u8) -> Self {
        self.raw([value])
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.raw(value.to_be_bytes())
    }

    pub(crate) fn string(self, bytes: impl AsRef<[u8]>) -> Self {
        let length = u32::try_from(bytes.as_ref().len()).unwrap();
        self.u32(length).raw(bytes)
    }

    /// A positive number without a sign bit or leading zeroes.
    pub(crate) fn mpint(self, bytes: &[u8]) -> Self {
        let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut number = bytes[zeroes..].to_vec();
        if number.first().is_some_and(|first| first & 0x80 != 0) {
            number.insert(0, 0);
        }
        self.string(number)
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A message that is read field by field; what is missing is empty.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Reads behind the kind.
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self(message.get(1..).unwrap_or_default())
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub(crate) fn u32(&mut self) -> u32 {
        let Some((number, rest)) = self.0.split_first_chunk() else {
            return 0;
        };
        self.0 = rest;
        u32::from_be_bytes(*number)
    }

    pub(crate) fn string(&mut self) -> &'a [u8] {
        let length = usize::try_from(self.u32()).unwrap();
        let (word, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        word
    }
}
