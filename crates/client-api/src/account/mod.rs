//! Accounts: registration, login, sessions, devices, profiles, account data.

mod errors;
mod interactive;
mod login;
mod login_request;
mod logout;
mod register;
mod sessions;
mod whoami;

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    Endpoints::default()
        .route(register::register)
        .route(register::is_available)
        .route(register::is_token_valid)
        .route(login::login_types)
        .route(login::login)
        .route(logout::logout)
        .route(logout::logout_all)
        .route(whoami::whoami)
}
