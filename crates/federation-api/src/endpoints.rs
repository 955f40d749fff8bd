//! Which handler answers which path.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, on};

use crate::authenticate;
use crate::services::Services;

/// Endpoints, and the router that finds them.
pub struct Endpoints {
    services: Services,
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
    /// Servers that sign the request.
    Servers,
}

impl Endpoints {
    pub(crate) fn new(services: Services) -> Self {
        Endpoints { services, router: Router::new(), list: Vec::new() }
    }

    /// Adds a `GET` endpoint for servers.
    pub(crate) fn get<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        self.add(Endpoint { method: Method::GET, path, access: Access::Servers }, handler)
    }

    /// Adds a `POST` endpoint for servers.
    pub(crate) fn post<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        self.add(Endpoint { method: Method::POST, path, access: Access::Servers }, handler)
    }

    /// Adds a `PUT` endpoint for servers.
    pub(crate) fn put<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        self.add(Endpoint { method: Method::PUT, path, access: Access::Servers }, handler)
    }

    /// Adds an endpoint that is open to everybody.
    pub(crate) fn open<H, T>(self, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        self.add(Endpoint { method, path, access: Access::Everybody }, handler)
    }

    /// What there is, in the order in which it was added.
    pub fn list(&self) -> &[Endpoint] {
        &self.list
    }

    pub(crate) fn into_router(self) -> Router<Services> {
        self.router
    }

    fn add<H, T>(mut self, endpoint: Endpoint, handler: H) -> Self
    where
        H: Handler<T, Services>,
        T: 'static,
    {
        // Methods that axum does not know are no methods of this API.
        let Ok(filter) = MethodFilter::try_from(endpoint.method.clone()) else { return self };
        let state = self.services.clone();
        // On the route and not around the router, so that a wrong method is one before anything is read.
        let route = match endpoint.access {
            Access::Servers => {
                on(filter, handler).route_layer(from_fn_with_state(state, authenticate::signed))
            }
            Access::Everybody => {
                on(filter, handler).route_layer(from_fn_with_state(state, authenticate::counted))
            }
        };
        self.router = self.router.route(endpoint.path, route);
        self.list.push(endpoint);
        self
    }
}
