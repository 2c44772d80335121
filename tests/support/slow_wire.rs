//! A slow wire to a server, which can fall silent, be cut, or lose its connections: a TCP proxy of the tests' own.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

pub(crate) struct SlowWire {
    /// The server's URL with this wire's address.
    pub(crate) url: String,
    line: Arc<Line>,
}

struct Line {
    delay: Duration,
    state: Mutex<WireState>,
    changed: Condvar,
}

struct WireState {
    condition: Condition,
    /// The host and port to which it leads.
    server: String,
    /// How often all existing connections have been lost.
    losses: usize,
    /// Both ends of every connection made so far.
    streams: Vec<TcpStream>,
}

#[derive(Clone, Copy, PartialEq)]
enum Condition {
    Whole,
    /// Nothing is lost, and nothing arrives.
    Silent,
    /// Every connection is closed, new ones immediately.
    Cut,
}

impl SlowWire {
    /// Starts a wire before the server of a URL such as `postgres://user@host:port/name`.
    pub(crate) fn before(url: &str, round_trip: Duration) -> Self {
        let (user, rest) = url.rsplit_once('@').unwrap();
        let (server, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{user}@{}/{name}", listener.local_addr().unwrap());
        let server = server.to_owned();
        let state = Mutex::new(WireState { condition: Condition::Whole, server, losses: 0, streams: Vec::new() });
        let line = Arc::new(Line { delay: round_trip / 2, state, changed: Condvar::new() });
        let accepting = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // While the wire is silent, nothing is accepted either.
                let state = accepting.once_not_silent();
                let (is_whole, server) = (state.condition == Condition::Whole, state.server.clone());
                drop(state);
                if is_whole && let Ok(server) = TcpStream::connect(&server) {
                    accepting.join(client, server);
                }
            }
        });
        Self { url, line }
    }

    pub(crate) fn fall_silent(&self) {
        self.line.become_so(Condition::Silent);
    }

    pub(crate) fn cut(&self) {
        self.line.become_so(Condition::Cut);
    }

    /// As if another server had taken over the address: existing connections get no more responses, and no error.
    pub(crate) fn lose_connections(&self) {
        self.line.state.lock().unwrap().losses += 1;
    }

    /// Leads new connections to the server of another URL.
    pub(crate) fn lead_to(&self, url: &str) {
        let (_, rest) = url.rsplit_once('@').unwrap();
        rest.split_once('/').unwrap().0.clone_into(&mut self.line.state.lock().unwrap().server);
    }

    pub(crate) fn restore(&self) {
        self.line.become_so(Condition::Whole);
    }
}

impl Drop for SlowWire {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Line {
    fn become_so(&self, condition: Condition) {
        let mut state = self.state.lock().unwrap();
        state.condition = condition;
        if condition == Condition::Cut {
            for stream in state.streams.drain(..) {
                // The other side may already have closed it.
                drop(stream.shutdown(Shutdown::Both));
            }
        }
        self.changed.notify_all();
    }

    fn once_not_silent(&self) -> std::sync::MutexGuard<'_, WireState> {
        let state = self.state.lock().unwrap();
        self.changed.wait_while(state, |state| state.condition == Condition::Silent).unwrap()
    }

    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let mut state = self.state.lock().unwrap();
        for (from, to) in [(&client, &server), (&server, &client)] {
            to.set_nodelay(true).unwrap();
            let (from, to, line) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(self));
            let losses = state.losses;
            thread::spawn(move || line.carry(from, to, losses));
        }
        state.streams.extend([client, server]);
    }

    /// Carries bytes until one side closes; carries none once the connection is lost.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream, losses: usize) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            thread::sleep(self.delay);
            let is_lost = self.once_not_silent().losses != losses;
            if !is_lost && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    }
}
