//! Accounts: registration, login, sessions, devices, profiles, account data.

mod account_data;
mod deactivate;
mod devices;
mod errors;
mod fallback;
mod fallback_request;
mod filter;
pub(crate) mod interactive;
mod login;
mod login_page;
mod login_request;
mod login_token;
mod logout;
mod moderation;
mod openid;
mod own;
mod password;
mod profile;
mod profile_request;
mod refresh;
mod register;
mod sessions;
mod tags;
mod third_party;
mod tool;
mod tool_request;
mod whoami;

use crate::endpoints::Endpoints;

/// The endpoints of this area.
pub(crate) fn routes() -> Endpoints {
    sessions_and_devices().merge(what_people_keep()).merge(administration())
}

fn sessions_and_devices() -> Endpoints {
    Endpoints::default()
        .route(register::register)
        .route(register::is_available)
        .route(register::is_token_valid)
        .route(fallback::fallback_page)
        .route(fallback::fallback_form)
        .route(login::login_types)
        .route(login::login)
        .route_plain(login_page::ENDPOINT, login_page::login_page)
        .route(login_token::get_login_token)
        .route(refresh::refresh)
        .route(logout::logout)
        .route(logout::logout_all)
        .route(whoami::whoami)
        .route(password::change_password)
        .route(deactivate::deactivate)
        .route(devices::get_devices)
        .route(devices::get_device)
        .route(devices::update_device)
        .route(devices::delete_device)
        .route(devices::delete_devices)
        .route(openid::request_openid_token)
        .route(third_party::get_3pids)
}

fn what_people_keep() -> Endpoints {
    Endpoints::default()
        .route(profile::get_profile)
        .route(profile::get_profile_field)
        .route(profile::set_profile_field)
        .route(profile::delete_profile_field)
        .route(account_data::get_global_account_data)
        .route(account_data::set_global_account_data)
        .route(account_data::get_room_account_data)
        .route(account_data::set_room_account_data)
        .route(tags::get_tags)
        .route(tags::create_tag)
        .route(tags::delete_tag)
        .route(filter::create_filter)
        .route(filter::get_filter)
}

fn administration() -> Endpoints {
    Endpoints::default()
        .route(moderation::get_user_info)
        .route(moderation::is_user_locked)
        .route(moderation::lock_user)
        .route(moderation::is_user_suspended)
        .route(moderation::suspend_user)
        .route(tool::tool_nonce)
        .route(tool::tool_register)
}
