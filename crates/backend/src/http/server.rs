//! A server that finishes what it has accepted.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::{App, middleware as actix, web};
use listener::Bounds;
use tracing_actix_web::TracingLogger;

use super::drain::Drain;
use super::feed::Feed;
use super::middleware::{admit, cors, enter};
use super::openapi;
use super::origins::Origins;
use super::routes::Routes;
use super::state::{Credentials, State};
use crate::config::Config;
use crate::store::Store;

/// A bound server: it has its port, and serves once it runs.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    store: Store,
    config: Config,
    bounds: Bounds,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The server cannot listen on the address.
    #[error("cannot listen on {0}: {1}; set CRUDDUR_BACKEND_LISTEN to a free address")]
    Listen(SocketAddr, io::Error),
    /// A worker does not start.
    #[error("cannot start the server: {0}")]
    Start(io::Error),
}

impl Server {
    /// Listens on the configured address. Port 0 picks a free port, which [`Server::addr`] returns.
    ///
    /// # Errors
    /// The address is already in use.
    pub fn bind(config: Config, store: Store) -> Result<Self, ServerError> {
        let listen = |error| ServerError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, addr, store, config, bounds: Bounds::default() })
    }

    /// Changes the limits on clients, so that a test need not wait for the real deadlines.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bounds(self, change: impl FnOnce(&mut Bounds)) -> Self {
        let mut bounds = self.bounds;
        change(&mut bounds);
        Self { bounds, ..self }
    }

    /// The address on which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` completes, then finishes accepted requests and writes, and closes the store.
    ///
    /// # Errors
    /// A worker does not start or fails.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self { listener, store, config, bounds, .. } = self;
        let Config { origins, hosts, trust, shape, faults, accounts, .. } = config;
        let credentials = Credentials::from(accounts);
        let routes = Arc::new(Routes::new(&credentials));
        let document = openapi::document(&credentials).into();
        let (origins, drain) = (Origins::new(origins), Drain::default());
        let state = State { store: store.clone(), credentials, origins, shape, faults, document, drain: drain.clone() };
        let state = web::Data::new(state);
        let drain_seconds = bounds.drain_seconds;
        let server = listener::serve(listener, bounds, move || {
            App::new()
                .app_data(state.clone())
                .app_data(web::Data::new(Feed::default()))
                .app_data(trust.clone())
                .app_data(hosts.clone())
                .configure(|app| routes.configure(app))
                .wrap(actix::from_fn(admit))
                .wrap(cors(state.origins.allowed()))
                .wrap_fn(enter)
                .wrap(actix::from_fn(telemetry::actix::finish))
                .wrap(TracingLogger::<telemetry::actix::RootSpan>::new())
        })
        .map_err(ServerError::Start)?;
        let handle = server.handle();
        let mut server = std::pin::pin!(server);
        let served = tokio::select! {
            served = &mut server => served,
            never = store.keep_swept() => match never {},
            () = shutdown => {
                drain.begin();
                let served = async { tokio::join!(server, handle.stop(true)).0 };
                let mut served = std::pin::pin!(served);
                tokio::select! {
                    served = &mut served => served,
                    () = drain.run(drain_seconds) => served.await,
                }
            }
        };
        store.close().await;
        served.map_err(ServerError::Start)
    }
}
