//! Cruddur from outside: real processes, sockets, databases, containers and a real browser. `tests/run` sets up what these
//! need; what cannot run says why, and fails where `CI` is set.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "the whole crate is a test")]

mod accounts;
mod api;
mod cognito;
mod collectors;
mod crashes;
mod databases;
mod datagrams;
mod destinations;
mod doctor;
mod early_answers;
mod edge;
mod faults;
mod feed;
mod first_start;
mod floors;
mod forwarding;
mod hostile_bodies;
mod interop;
mod load;
mod openapi;
mod opening;
mod page;
mod pages;
mod persistence;
mod plans;
mod poolers;
mod propagation;
mod protocols;
mod proxy;
mod relay;
mod routes;
mod rules;
mod sign_in;
mod slow_clients;
mod smuggling;
mod social;
mod store;
mod support;
mod texts;
mod trace;
mod trust;
mod up;
mod upstreams;
mod variables;
mod viewer;
mod w3c;
mod week2;
mod workspace;
mod writes;
mod xray_documents;
mod xray_faults;
mod xray_otlp;
mod xray_sdk;
