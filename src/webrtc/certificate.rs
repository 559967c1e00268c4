//! The DTLS certificate: made once, kept as bytes, so that a fingerprint survives restarts. RFC 8827 section 6.5.

use str0m::config::{CryptoProvider, DtlsCert};
use str0m::crypto::from_feature_flags;

/// What the bytes begin with.
const MAGIC: &[u8; 8] = b"PHDTLS01";
const HASH: usize = 32;

/// A self-signed certificate and its key.
#[derive(Clone)]
pub struct Certificate {
    dtls: DtlsCert,
}

/// No certificate could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers for a certificate")]
pub struct NoCertificate;

impl Certificate {
    /// Makes a new one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, NoCertificate> {
        let dtls = from_feature_flags().dtls_provider.generate_certificate().ok_or(NoCertificate)?;
        Ok(Self { dtls })
    }

    /// Reads what [`to_bytes`](Self::to_bytes) made; `None` when a byte of it is missing or wrong.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (hash, body) = rest.split_first_chunk::<HASH>()?;
        if *hash != sha256(&from_feature_flags(), body) {
            return None;
        }
        let (length, body) = body.split_first_chunk::<4>()?;
        let (certificate, private_key) = body.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Self { dtls: DtlsCert { certificate: certificate.to_vec(), private_key: private_key.to_vec() } })
    }

    /// The certificate and its key (secret) with a checksum, for a file that only this program reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.dtls.certificate.len()).expect("a certificate has less than 4 GB");
        let body = [&length.to_be_bytes()[..], &self.dtls.certificate, &self.dtls.private_key].concat();
        [&MAGIC[..], &sha256(&from_feature_flags(), &body), &body].concat()
    }

    pub(super) const fn dtls(&self) -> &DtlsCert {
        &self.dtls
    }
}

fn sha256(crypto: &CryptoProvider, bytes: &[u8]) -> [u8; HASH] {
    crypto.sha256_provider.sha256(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_survives_as_bytes_and_a_damaged_one_is_noticed() {
        let made = Certificate::generate().unwrap();
        let bytes = made.to_bytes();
        let read = Certificate::parse(&bytes).unwrap();
        assert_eq!((&read.dtls.certificate, &read.dtls.private_key), (&made.dtls.certificate, &made.dtls.private_key));
        for at in [0, 9, 41, 60, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Certificate::parse(&damaged).is_none(), "byte {at}");
        }
        for length in [0, 8, 40, 44, bytes.len() - 1] {
            assert!(Certificate::parse(&bytes[..length]).is_none(), "{length} bytes");
        }
    }
}
