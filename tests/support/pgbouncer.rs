//! A pgbouncer before the tests' PostgreSQL server, in the configuration that it has unless told otherwise.

use std::net::TcpStream;
use std::process::{Child, Stdio};

use super::cluster::{as_postgres, give_to_postgres};
use super::{Folder, cannot_run, eventually, free_port};

/// A running pgbouncer, killed when dropped.
pub(crate) struct Pgbouncer {
    child: Child,
    _folder: Folder,
    /// The database's URL with the pooler in the server's place.
    pub(crate) url: String,
}

impl Pgbouncer {
    /// Before the database of a URL such as `postgres://user:password@host:port/name`; `None` where it is not installed.
    pub(crate) fn before(url: &str, settings: &str) -> Option<Self> {
        let (user, rest) = url.trim_start_matches("postgres://").rsplit_once('@').unwrap();
        let (server, name) = rest.split_once('/').unwrap();
        let (host, server_port) = server.rsplit_once(':').unwrap();
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let (folder, port) = (Folder::new(), free_port());
        let file = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{name} = host={host} port={server_port} dbname={name} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n{settings}\n"
        );
        std::fs::write(&file, text).unwrap();
        give_to_postgres(folder.path());
        let mut command = as_postgres("pgbouncer");
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Debian has it where only root looks.
        let path = std::env::join_paths(["/usr/sbin", "/usr/bin", "/sbin", "/bin"]).unwrap();
        let Ok(mut child) = command.env("PATH", path).spawn() else {
            cannot_run("pgbouncer", "pgbouncer is not installed");
            return None;
        };
        let ended = eventually("pgbouncer", || match TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => Some(None),
            Err(_) => child.try_wait().unwrap().map(Some),
        });
        if let Some(status) = ended {
            cannot_run("pgbouncer", &format!("pgbouncer ended ({status})"));
            return None;
        }
        Some(Self { child, _folder: folder, url: format!("postgres://{user}@127.0.0.1:{port}/{name}") })
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
