//! A pgbouncer before the tests' PostgreSQL server, in its default configuration.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::cluster::{as_postgres, give_to_postgres};
use super::{Folder, cannot_run, eventually, free_port};

/// A running pgbouncer, killed when dropped.
pub(crate) struct Pgbouncer {
    child: Child,
    _folder: Folder,
    /// The database's URL with the pooler instead of the server.
    pub(crate) url: String,
    pub(crate) port: u16,
}

impl Pgbouncer {
    /// Starts one before the database of a URL such as `postgres://user:password@host:port/name`; `None` if it is not installed. If `settings`
    /// require passwords, the user `me` has `right`.
    pub(crate) fn before(url: &str, settings: &str) -> Option<Self> {
        if !pgbouncer("--version").status().is_ok_and(|status| status.success()) {
            cannot_run("pgbouncer", "pgbouncer is not installed");
            return None;
        }
        let (user, rest) = url.trim_start_matches("postgres://").rsplit_once('@').unwrap();
        let (server, name) = rest.split_once('/').unwrap();
        let (host, server_port) = server.rsplit_once(':').unwrap();
        let (user, password) = user
            .split_once(':')
            .map_or((user, String::new()), |(user, password)| (user, format!("password={password}")));
        let (folder, port) = (Folder::new(), free_port());
        let (file, users) = (folder.path().join("pgbouncer.ini"), folder.path().join("users"));
        std::fs::write(&users, "\"me\" \"right\"\n").unwrap();
        let text = format!(
            "[databases]\n{name} = host={host} port={server_port} dbname={name} user={user} {password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\nauth_file = {}\n{settings}\n",
            users.display()
        );
        std::fs::write(&file, text).unwrap();
        give_to_postgres(folder.path());
        let mut child = pgbouncer(file.to_str().unwrap()).spawn().unwrap();
        eventually("pgbouncer", || {
            assert!(child.try_wait().unwrap().is_none(), "pgbouncer refuses its configuration");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(Self { child, _folder: folder, url: format!("postgres://{user}@127.0.0.1:{port}/{name}"), port })
    }
}

fn pgbouncer(argument: &str) -> Command {
    // Debian installs it in a folder that is only on root's path.
    let path = std::env::join_paths(["/usr/sbin", "/usr/bin", "/sbin", "/bin"]).unwrap();
    let mut command = as_postgres("pgbouncer");
    command.arg(argument).env("PATH", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
