//! TLS: certificates from files, chosen by the name that the client asks for, and read anew when the files change.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use webpki::EndEntityCert;

use crate::config::Certificate;
use crate::stop::{Hangups, Stop};

/// The certificates of a listener. Connections that begin after [`Certificates::reload`] are shown the new ones; those
/// that began before go on as they are.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: Vec<Certificate>,
    shown: RwLock<Arc<ByName>>,
    /// What the files looked like when they were last read.
    seen: Mutex<Vec<Option<Stamp>>>,
}

impl Certificates {
    /// Reads certificates and keys from files; the first certificate is for clients that name none of them.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn read(files: &[Certificate]) -> Result<Arc<Self>, TlsError> {
        let seen = Mutex::new(stamps(files));
        let shown = RwLock::new(Arc::new(ByName::read(files)?));
        Ok(Arc::new(Certificates { files: files.to_vec(), shown, seen }))
    }

    /// What accepts TLS connections with these certificates.
    ///
    /// # Errors
    /// [`TlsError::Settings`].
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(TlsError::Settings)?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files anew.
    ///
    /// # Errors
    /// [`TlsError`]; what was shown goes on to be shown.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        // Before they are read: what changes meanwhile is read once more.
        let now = stamps(&self.files);
        let by_name = ByName::read(&self.files);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(by_name?);
        Ok(())
    }

    /// Whether a file is another than when it was last read.
    pub(crate) fn have_changed(&self) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) != stamps(&self.files)
    }

    /// Reads the files anew, and says what came of it in the log.
    fn renew(&self) {
        let first = self.files.first().map(|files| files.certificate.display().to_string());
        match self.reload() {
            Ok(()) => tracing::info!(first, "certificates were read anew"),
            Err(error) => tracing::error!(first, %error, "certificates stay as they were"),
        }
    }
}

/// How often is looked whether certificates changed. Whoever renews one and does not want to wait sends SIGHUP.
const LOOK: Duration = Duration::from_secs(60);

/// Reads certificates anew, all of them on SIGHUP, and those whose files changed once a minute, until it is time to stop.
pub(crate) async fn renew_certificates(all: Vec<Arc<Certificates>>, mut hangups: Hangups, stop: Stop) {
    loop {
        let hangup = tokio::select! {
            () = hangups.next() => true,
            () = tokio::time::sleep(LOOK) => false,
            () = stop.asked() => return,
        };
        all.iter().filter(|one| hangup || one.have_changed()).for_each(|one| one.renew());
    }
}

/// What tells one content of a file from another without reading it: when it was written, how long it is, which file it is.
type Stamp = (i64, i64, u64, u64);

fn stamps(files: &[Certificate]) -> Vec<Option<Stamp>> {
    let stamp = |file: &Path| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
    };
    files.iter().flat_map(|files| [stamp(&files.certificate), stamp(&files.key)]).collect()
}

/// Certificates by the names in them. A name below `*.` is for one label.
#[derive(Debug, Default)]
struct ByName {
    names: BTreeMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    fn read(files: &[Certificate]) -> Result<Self, TlsError> {
        let provider = rustls::crypto::ring::default_provider();
        let mut by_name = ByName::default();
        for certificate in files {
            by_name.add(certificate, &provider)?;
        }
        Ok(by_name)
    }

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

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        hello.server_name().and_then(|name| shown.find(name)).or_else(|| shown.first.clone())
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write the files that are read")]
mod tests {
    use rcgen::{CertifiedKey as Made, generate_simple_self_signed};

    use super::*;

    fn write(folder: &Path, name: &str) -> Certificate {
        let Made { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (certificate, key) = (folder.join("c.pem"), folder.join("k.pem"));
        std::fs::write(&certificate, cert.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        Certificate { certificate, key }
    }

    fn names(certificates: &Certificates) -> Vec<String> {
        certificates.shown.read().unwrap().names.keys().cloned().collect()
    }

    #[test]
    fn changed_files_are_seen_and_what_cannot_be_read_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::read(&[write(folder.path(), "old.example")]).unwrap();
        assert!(!certificates.have_changed());
        write(folder.path(), "new.example.org");
        assert!(certificates.have_changed());
        assert_eq!(names(&certificates), ["old.example"]);
        certificates.reload().unwrap();
        assert!(!certificates.have_changed());
        assert_eq!(names(&certificates), ["new.example.org"]);
        std::fs::write(folder.path().join("c.pem"), "half a cert").unwrap();
        assert!(certificates.have_changed());
        assert!(certificates.reload().is_err());
        assert_eq!(names(&certificates), ["new.example.org"]);
        assert!(!certificates.have_changed(), "what is wrong is said once");
    }
}
