//! Files of other servers.

mod boundary;
mod file;
mod multipart;
mod service;

pub use file::{FileBody, FileError, RemoteFile};
pub use multipart::MultipartError;
pub use service::{FileForm, FileRequest, MediaOfServers};
