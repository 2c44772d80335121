//! A PostgreSQL server for one test, in states that the shared one cannot have: behind passwords, with TLS, starting up, a standby.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Folder, cannot_run, eventually, free_port};

/// A server on a free port, stopped when dropped. Its superuser is `postgres`, who needs no password.
pub(crate) struct Cluster {
    folder: Folder,
    binaries: PathBuf,
    pub(crate) port: u16,
}

impl Cluster {
    /// Created, but not started; `None` if the server's programs are not installed.
    pub(crate) fn make() -> Option<Self> {
        let Some(binaries) = binaries() else {
            cannot_run("postgresql", "the programs of a PostgreSQL server are not installed");
            return None;
        };
        let folder = Folder::new();
        give_to_postgres(folder.path());
        let cluster = Self { folder, binaries, port: free_port() };
        let data = cluster.data();
        let data = data.to_str().unwrap();
        cluster.run("initdb", &["-D", data, "-U", "postgres", "-E", "UTF8", "--auth=trust", "--no-sync"]);
        cluster.configure(&format!(
            "port = {}\nlisten_addresses = '127.0.0.1, ::1'\nunix_socket_directories = '{}'\nfsync = off",
            cluster.port,
            cluster.folder.path().display()
        ));
        Some(cluster)
    }

    /// The folder of its socket.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Adds lines to its configuration.
    pub(crate) fn configure(&self, lines: &str) {
        let file = self.data().join("postgresql.conf");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{before}\n{lines}\n")).unwrap();
    }

    /// Starts it and waits until it responds, even if it accepts no connections yet.
    pub(crate) fn launch(&self) {
        let log = self.data().join("log");
        self.control(&["-W", "-l", log.to_str().unwrap(), "start"]);
        eventually("a server that listens", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    pub(crate) fn start(&self) {
        let log = self.data().join("log");
        self.control(&["-w", "-l", log.to_str().unwrap(), "start"]);
    }

    pub(crate) fn control(&self, arguments: &[&str]) {
        let data = self.data();
        self.run("pg_ctl", &[&["-D", data.to_str().unwrap()], arguments].concat());
    }

    /// A URL of the server, for `user` and the database `name`, which may include parameters.
    pub(crate) fn url(&self, user: &str, name: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{name}", self.port)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = as_postgres(self.binaries.join(program).to_str().unwrap());
        // A server that is started keeps inherited outputs open.
        let output = command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(output.unwrap().success(), "{program} {arguments:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let mut stop = as_postgres(self.binaries.join("pg_ctl").to_str().unwrap());
        stop.args(["-D", data.to_str().unwrap(), "-m", "immediate", "stop"]).current_dir("/");
        // The server may not have been started.
        let _stopped: Result<Output, _> = stop.output();
    }
}

/// The newest server's programs, as `tests/run` finds them.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let newest = versions.filter_map(|version| version.file_name().to_str()?.parse::<u32>().ok()).max()?;
    let folder = PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"));
    ["initdb", "pg_ctl"].iter().all(|program| folder.join(program).exists()).then_some(folder)
}

/// A program run as the user `postgres` if this process is root: neither PostgreSQL nor pgbouncer runs as root.
pub(crate) fn as_postgres(program: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", program]);
    command
}

/// Makes a folder writable for programs that run as `postgres`.
pub(crate) fn give_to_postgres(path: &Path) {
    if rustix::process::geteuid().is_root() {
        let path = path.to_str().unwrap();
        assert!(Command::new("chown").args(["-R", "postgres:postgres", path]).status().unwrap().success());
    }
}
