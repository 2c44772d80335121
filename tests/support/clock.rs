//! A wrong clock for one process: a library, loaded before all others, that returns the time in a variable.

use std::path::PathBuf;
use std::process::Command;

use super::{Folder, cannot_run};

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    long result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME) {
        time->tv_sec = atoll(getenv("TEST_CLOCK_SECONDS"));
    }
    return result;
}
"#;

pub(crate) struct Clock {
    folder: Folder,
}

impl Clock {
    /// `None` without a C compiler.
    pub(crate) fn make() -> Option<Self> {
        let clock = Self { folder: Folder::new() };
        let source = clock.folder.path().join("clock.c");
        std::fs::write(&source, LIBRARY).unwrap();
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(clock.library()).arg(source).status();
        if !made.is_ok_and(|status| status.success()) {
            cannot_run("cc", "there is no C compiler");
            return None;
        }
        Some(clock)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    /// The variables that give a process this time, in seconds since 1970.
    pub(crate) fn at(&self, seconds: i64) -> [(&'static str, String); 2] {
        let library = self.library().to_str().unwrap().to_owned();
        [("LD_PRELOAD", library), ("TEST_CLOCK_SECONDS", seconds.to_string())]
    }
}
