//! Which handler answers which path: from the metadata of ruma's requests.

use std::any::TypeId;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};
use ruma_common::api::auth_scheme::{
    AccessToken, AccessTokenOptional, AppserviceToken, AppserviceTokenOptional, NoAccessToken,
    NoAuthentication,
};
use ruma_common::api::path_builder::PathBuilder;
use ruma_common::api::{IncomingRequest, Metadata};

use crate::request::Body;
use crate::services::Services;

/// Endpoints, and the router that finds them.
#[derive(Default)]
pub struct Endpoints {
    router: Router<Services>,
    list: Vec<Endpoint>,
}

/// One method of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with its variables in braces.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
}

/// Who may ask an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Everybody,
    /// Users with an access token.
    Users,
    /// Application services.
    ApplicationServices,
}

impl Endpoints {
    /// Adds the handler of a request of ruma, at every path that its metadata lists: stable, unstable and `r0`.
    ///
    /// The handler's last argument is [`Body`] of the request.
    pub fn route<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, Services> + Clone,
        T: LastArgument + 'static,
        <T::Request as Metadata>::Authentication: 'static,
    {
        self.route_also(handler, &[])
    }

    /// The same at more paths than the metadata lists.
    pub fn route_also<H, T>(mut self, handler: H, more: &[&'static str]) -> Self
    where
        H: Handler<T, Services> + Clone,
        T: LastArgument + 'static,
        <T::Request as Metadata>::Authentication: 'static,
    {
        let listed = <T::Request as Metadata>::PATH_BUILDER;
        let mut paths: Vec<&'static str> = listed.all_paths().chain(more.iter().copied()).collect();
        paths.sort_unstable();
        paths.dedup();
        let access = access::<T::Request>();
        paths.into_iter().for_each(|path| {
            let endpoint = Endpoint { method: T::Request::METHOD, path, access };
            self.add(endpoint, handler.clone());
        });
        self
    }

    /// Adds a handler that ruma has no request for.
    pub fn route_plain<H, T>(mut self, endpoint: Endpoint, handler: H) -> Self
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        self.add(endpoint, handler);
        self
    }

    /// Both together.
    pub fn merge(mut self, other: Endpoints) -> Self {
        self.router = self.router.merge(other.router);
        self.list.extend(other.list);
        self
    }

    /// What there is, in the order in which it was added.
    pub fn list(&self) -> &[Endpoint] {
        &self.list
    }

    pub(crate) fn into_router(self) -> Router<Services> {
        self.router
    }

    fn add<H, T>(&mut self, endpoint: Endpoint, handler: H)
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        // Methods that axum does not know are no methods of this API.
        let Ok(filter) = MethodFilter::try_from(endpoint.method.clone()) else { return };
        let router = std::mem::take(&mut self.router);
        self.router = router.route(endpoint.path, on(filter, handler));
        self.list.push(endpoint);
    }
}

fn access<R: Metadata>() -> Access
where
    R::Authentication: 'static,
{
    let scheme = TypeId::of::<R::Authentication>();
    let open = [
        TypeId::of::<NoAuthentication>(),
        TypeId::of::<NoAccessToken>(),
        TypeId::of::<AccessTokenOptional>(),
        TypeId::of::<AppserviceTokenOptional>(),
    ];
    if open.contains(&scheme) {
        Access::Everybody
    } else if scheme == TypeId::of::<AppserviceToken>() {
        Access::ApplicationServices
    } else {
        debug_assert_eq!(scheme, TypeId::of::<AccessToken>());
        Access::Users
    }
}

/// The arguments of a handler, of which the last is the request.
pub trait LastArgument {
    /// The request.
    type Request: IncomingRequest;
}

/// Implements [`LastArgument`] for argument lists of these lengths.
macro_rules! last_argument {
    ($(($($argument:ident)*))*) => {$(
        impl<M, $($argument,)* R: IncomingRequest> LastArgument for (M, $($argument,)* Body<R>) {
            type Request = R;
        }
    )*};
}

last_argument! { () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }
