//! The content repository of a homeserver, for many tenants.
//!
//! - [`Media::upload`] takes a file as it comes, without holding it in memory; [`Media::reserve`] and [`Media::fill`] do
//!   so in two steps.
//! - [`Media::download`] gives a file, or a part of it, as it is read.
//! - [`Media::thumbnail`] gives a picture in another size.
//!
//! # Shared bytes, separate ownership
//!
//! Bytes are kept once, under their SHA-256, however many tenants have them. What can be observed is each tenant's own: a
//! media id belongs to the tenant that made it, quotas count each file in full, and an upload goes the same way whether
//! its bytes are known or not. Thumbnails are not shared, because how fast one comes would tell that somebody else has the
//! picture. Bytes go when the last media id that has them is deleted.
//!
//! # Files of other servers
//!
//! A file of another server is fetched when somebody asks for it, once however many do, and kept. Each tenant keeps its own,
//! up to a bound of its own, and fetches what its neighbours have fetched already, so that nobody learns from how fast a file
//! comes what others look at. What was not asked for the longest goes first.
//!
//! # Files that are withheld
//!
//! A tenant withholds bytes from its people and from whoever asks it for them ([`Media::quarantine`]), the operator from all.
//! They answer as if they were not there, and are not taken in anew. Neighbours who have the same bytes learn nothing of what
//! a tenant decides.
//!
//! # What it does not do
//!
//! It knows no HTTP. Which tenants reach each other and what they may keep is asked of [`Policies`], and files of other
//! servers of [`Origins`].
//!
//! # Where to start
//!
//! [`Media`], and [`MediaId`], which is the only name by which anything is asked for.

mod blobs;
mod check;
mod download;
mod elsewhere;
mod failure;
mod flights;
mod kept;
mod media_id;
mod origins;
mod picture;
mod policies;
mod quarantine;
mod quota;
mod remove;
mod reserve;
mod service;
mod size;
mod sweep;
mod thumbnail;
mod upload;

pub use blobs::Chunks;
pub use check::{MediaCheck, MediaFault, MediaFinding};
pub use download::{Download, DownloadError, FileFacts, Part, Wanted};
pub use failure::{BodyError, Failure};
pub use media_id::{InvalidMediaId, MediaId};
pub use origins::{FetchError, Fetched, Form, Origins, Outside, WantedElsewhere};
pub use picture::PictureLimits;
pub use policies::{MediaPolicy, Policies};
pub use quarantine::{FileDetails, Note};
pub use quota::OverQuota;
pub use reserve::{Reservation, ReserveError};
pub use service::{Media, MediaSettings};
pub use size::{Animation, Method, ThumbnailSize};
pub use sweep::Swept;
pub use thumbnail::{Thumbnail, ThumbnailError};
pub use upload::{FileNames, UploadError};
