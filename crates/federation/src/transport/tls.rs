//! Whom we believe to be who they say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Settings for TLS with servers whose certificates are of the authorities of the web, or of those in `extra_ca`: files
/// in PEM format.
///
/// # Errors
/// [`CaError`].
pub fn client_tls(extra_ca: &[PathBuf]) -> Result<ClientConfig, CaError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for file in extra_ca {
        add(&mut roots, file).map_err(|reason| CaError { file: file.clone(), reason })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| CaError { file: PathBuf::new(), reason: error.to_string() })?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates of an authority cannot be used; the operator is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("extra_ca `{}`: {reason}", file.display())]
pub struct CaError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// How HTTP/2 is called when TLS begins.
pub(super) const HTTP_2: &[u8] = b"h2";

/// The same settings for servers that speak HTTP/2, or HTTP/1.1 if they do not.
pub(super) fn for_both_versions(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(())
}
