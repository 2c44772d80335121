//! A PostgreSQL server for one test, which may stop it, reconfigure it or give it a standby.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::runtime::Runtime;

use super::{Folder, cannot_run};

/// A running server, stopped and removed when dropped.
pub(crate) struct PostgresServer {
    folder: Folder,
    binaries: PathBuf,
    port: u16,
    runtime: Runtime,
}

impl PostgresServer {
    /// An empty server; `None` if no server is installed.
    pub(crate) fn start() -> Option<Self> {
        let server = Self::prepare()?;
        let data = server.data();
        server.succeed("initdb", &["-D", &data, "-U", "postgres", "--auth=trust", "--no-sync"]);
        server.serve();
        Some(server)
    }

    /// A standby that follows `self`.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self::prepare().unwrap();
        let (port, data) = (self.port.to_string(), standby.data());
        standby.succeed(
            "pg_basebackup",
            &["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-D", &data, "-R", "-c", "fast", "--no-sync"],
        );
        standby.serve();
        standby
    }

    /// The URL of the database `postgres`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Changes a setting of the running server.
    pub(crate) fn set(&self, name: &str, value: &str) {
        // The names and values are the tests' own.
        self.execute(&format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.execute("SELECT pg_reload_conf()");
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url()).await.unwrap();
            connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// Stops it immediately, as in a crash.
    pub(crate) fn stop(&self) {
        self.succeed("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }

    /// Makes a standby a primary.
    pub(crate) fn promote(&self) {
        self.succeed("pg_ctl", &["-D", &self.data(), "-w", "promote"]);
    }

    fn prepare() -> Option<Self> {
        let Some(binaries) = binaries() else {
            cannot_run("postgresql", "no server binaries of PostgreSQL; run tests/run, which installs them");
            return None;
        };
        // The port is free now, at least.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder: Folder::new(), binaries, port, runtime: Runtime::new().unwrap() };
        if is_root() {
            let own = Command::new("chown").arg("postgres").arg(server.folder.path()).status().unwrap();
            assert!(own.success());
        }
        Some(server)
    }

    fn serve(&self) {
        let folder = self.folder.path().display();
        let options =
            format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off", self.port);
        let log = format!("{folder}/log");
        self.succeed("pg_ctl", &["-D", &self.data(), "-w", "-l", &log, "-o", &options, "start"]);
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// Runs one of the server's programs; it refuses to run as root.
    fn succeed(&self, program: &str, arguments: &[&str]) {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // A server that is started keeps its outputs open.
        command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{} {arguments:?}", program.display());
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if Path::new(&self.data()).join("postmaster.pid").exists() {
            self.stop();
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The folder of the newest server's programs, found as `tests/run` does.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let newest = versions.filter_map(|version| version.file_name().to_str()?.parse::<u32>().ok()).max()?;
    Some(PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))).filter(|folder| folder.join("initdb").exists())
}
