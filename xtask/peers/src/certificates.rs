//! A certificate authority for one run, and certificates for servers on loopback.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::failure::{Context, Result};

/// An authority that every server of the run trusts.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// The files of one server's certificate.
pub(crate) struct ServerCertificate {
    pub(crate) certificate: PathBuf,
    pub(crate) private_key: PathBuf,
}

impl Authority {
    /// Makes an authority and writes its certificate into the folder.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let mut parameters = CertificateParams::new(Vec::new()).context("parameters of the authority")?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // A certificate whose subject is also its issuer would count as self-signed.
        parameters.distinguished_name.push(DnType::CommonName, "Authority of one run");
        let key = KeyPair::generate().context("key of the authority")?;
        let issuer = CertifiedIssuer::self_signed(parameters, key).context("certificate of the authority")?;
        let authority = Self { issuer, folder: folder.to_path_buf() };
        std::fs::write(authority.file(), authority.pem()).context("write the authority's certificate")?;
        Ok(authority)
    }

    /// The file with the authority's certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The authority's certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server at a loopback address, with its key, as files named after the server.
    pub(crate) fn issue(&self, server: &str, host: &str) -> Result<ServerCertificate> {
        let (certificate, key) = self.sign(host)?;
        let files = ServerCertificate {
            certificate: self.folder.join(format!("{server}.pem")),
            private_key: self.folder.join(format!("{server}.key")),
        };
        std::fs::write(&files.certificate, certificate.pem()).context("write a server's certificate")?;
        std::fs::write(&files.private_key, key.serialize_pem()).context("write a server's key")?;
        Ok(files)
    }

    /// A certificate for a server at a loopback address, with its key, for use in this process.
    pub(crate) fn sign(&self, host: &str) -> Result<(rcgen::Certificate, KeyPair)> {
        let mut parameters =
            CertificateParams::new(vec![host.to_owned()]).context("parameters of a server")?;
        parameters.distinguished_name.push(DnType::CommonName, host);
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().context("key of a server")?;
        let certificate = parameters.signed_by(&key, &self.issuer).context("certificate of a server")?;
        Ok((certificate, key))
    }
}
