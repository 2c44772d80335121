//! The first start: who may read what it makes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::Folder;
use crate::support::cruddur::{Cruddur, command};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_a_start_makes_is_its_owners_alone() {
    let folder = Folder::new();
    let data = folder.path().join("deep/data");
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.to_str().unwrap())]);
    let made: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(made.len() >= 4, "{made:?}");
    for file in &made {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!((mode(&data), mode(&folder.path().join("deep"))), (0o700, 0o700));
    let errors = backend.stop().errors;
    assert!(!errors.contains("chmod"), "{errors}");
}

#[test]
fn a_data_folder_that_others_can_reach_is_warned_of() {
    let folder = Folder::new();
    let (data, file) = (folder.path().join("data"), folder.path().join("data/cruddur.db"));
    let variable = [("CRUDDUR_DATA", data.to_str().unwrap())];
    drop(Cruddur::service("backend", &variable));
    for (folder_mode, file_mode, advice) in [
        (0o700, 0o644, None),
        (0o755, 0o600, Some(data.display().to_string())),
        (0o755, 0o644, Some(format!("{} {}", data.display(), file.display()))),
        (0o710, 0o640, Some(format!("{} {}", data.display(), file.display()))),
    ] {
        for (path, mode) in [(&data, folder_mode), (&file, file_mode)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let backend = Cruddur::service("backend", &variable);
        let ready = backend.stop();
        let doctor = command(&["doctor", "--json"], &variable).output().unwrap();
        let doctor = String::from_utf8(doctor.stdout).unwrap();
        for text in [&ready.errors, &doctor] {
            match &advice {
                Some(paths) => assert!(text.contains(&format!("run chmod go= {paths}")), "{text}"),
                None => assert!(!text.contains("chmod"), "{text}"),
            }
        }
    }
    // A folder of the user's own choice may have other purposes; its file has not.
    let url = format!("sqlite:{}", file.display());
    let errors = Cruddur::service("backend", &[("DATABASE_URL", &url)]).stop().errors;
    assert!(errors.contains(&format!("run chmod go= {}", file.display())), "{errors}");
}
