//! Media: uploads, downloads, thumbnails.

mod answer;
mod config;
mod create;
mod download;
mod errors;
mod legacy;
mod range;
mod thumbnail;
mod upload;

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
        .merge(upload::routes())
        .route(create::create)
        .route(config::config)
        .route(download::download)
        .route(download::download_as)
        .route(thumbnail::thumbnail)
        .merge(legacy::routes())
}
