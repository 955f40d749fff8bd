//! TLS: certificates from files, chosen by the name that the client asks for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use webpki::EndEntityCert;

use crate::config::Certificate;

/// What accepts TLS connections with these certificates; the first is for clients that name none of them.
///
/// # Errors
/// [`TlsError`].
pub(crate) fn acceptor(certificates: &[Certificate]) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut by_name = ByName::default();
    for certificate in certificates {
        by_name.add(certificate, &provider)?;
    }
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(TlsError::Settings)?;
    let mut config = versions.with_no_client_auth().with_cert_resolver(Arc::new(by_name));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Certificates by the names in them. A name below `*.` is for one label.
#[derive(Debug, Default)]
struct ByName {
    names: BTreeMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn add(
        &mut self,
        files: &Certificate,
        provider: &rustls::crypto::CryptoProvider,
    ) -> Result<(), TlsError> {
        let chain = read_chain(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key);
        let key = key.map_err(|source| TlsError::Pem { file: files.key.clone(), source })?;
        let wrong = |source| TlsError::Certificate { file: files.certificate.clone(), source };
        let names = names_of(&chain).ok_or_else(|| wrong(rustls::Error::NoCertificatesPresented))?;
        let certified = Arc::new(CertifiedKey::from_der(chain, key, provider).map_err(wrong)?);
        for name in names {
            self.names.entry(name).or_insert_with(|| certified.clone());
        }
        self.first.get_or_insert(certified);
        Ok(())
    }

    fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
        self.names.get(&name).or_else(|| self.names.get(&wildcard()?)).cloned()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().and_then(|name| self.find(name)).or_else(|| self.first.clone())
    }
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { file: file.to_owned(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(failed)?.collect();
    chain.map_err(failed)
}

fn names_of(chain: &[CertificateDer<'static>]) -> Option<Vec<String>> {
    let certificate = EndEntityCert::try_from(chain.first()?).ok()?;
    Some(certificate.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file holds no certificates or key.
    #[error("{}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate cannot be used, or the key is not its own.
    #[error("{}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The library refuses its own defaults; does not happen.
    #[error(transparent)]
    Settings(rustls::Error),
}
