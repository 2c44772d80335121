//! What embedded stores cost for the viewer's chunks: groups of 73 traces of 5 KiB, each group committed so that the end of the process loses nothing, and
//! found again by its trace. Prints CPU time, bytes written to files and the files' size.

use std::fs;
use std::io::{Result, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use redb::{Database, TableDefinition};
use rusqlite::Connection;

const GROUP: usize = 73;
const CHUNK: usize = 5 * 1024;

/// Adds `groups` with one store, in an empty folder.
pub(crate) fn run(store: &str, folder: &Path, groups: u64) -> Result<()> {
    let mut add: Box<dyn FnMut(u64, &[[u8; 16]], &[u8])> = match store {
        "sqlite" => sqlite(folder, true),
        "sqlite-rowid" => sqlite(folder, false),
        "redb" => redb(folder),
        "fjall" => fjall(folder),
        "append" => append(folder),
        _ => panic!("no store {store}"),
    };
    // Not compressible to nothing, and not random.
    let bytes: Vec<u8> = (0..GROUP * CHUNK).map(|at| b'a' + u8::try_from(at * at % 23).unwrap_or(0)).collect();
    let (started, before) = (Instant::now(), cpu());
    for group in 0..groups {
        let ids: Vec<[u8; 16]> = (0..GROUP as u64).map(|trace| id(group * GROUP as u64 + trace)).collect();
        add(group, &ids, &bytes);
    }
    let (wall, cpu) = (started.elapsed(), cpu() - before);
    drop(add);
    let files: u64 = fs::read_dir(folder)?.map(|file| size(&file.expect("an entry").path())).sum();
    let chunks = groups * GROUP as u64;
    println!(
        "{store}: {:.2} us CPU a chunk, {:.2} us, {} MiB in files for {} MiB",
        cpu * 1e6 / chunks as f64,
        wall.as_secs_f64() * 1e6 / chunks as f64,
        files >> 20,
        chunks * CHUNK as u64 >> 20,
    );
    Ok(())
}

fn id(number: u64) -> [u8; 16] {
    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()
}

/// The seconds of CPU time of this process, all threads.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

fn size(path: &Path) -> u64 {
    let metadata = fs::metadata(path).expect("a file");
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path).expect("a folder").map(|file| size(&file.expect("an entry").path())).sum()
}

/// WAL without a flush at each commit; an index of traces on the disk, or only row ids.
fn sqlite(folder: &Path, has_index: bool) -> Box<dyn FnMut(u64, &[[u8; 16]], &[u8])> {
    let db = Connection::open(folder.join("db")).expect("a database");
    db.execute_batch(
        "PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-4000;",
    )
    .expect("pragmas");
    db.execute_batch("CREATE TABLE chunks (id INTEGER PRIMARY KEY, trace BLOB, content BLOB)").expect("a table");
    if has_index {
        db.execute_batch("CREATE INDEX traces ON chunks (trace)").expect("an index");
    }
    Box::new(move |_, ids, bytes| {
        db.execute_batch("BEGIN").expect("begin");
        let mut insert = db.prepare_cached("INSERT INTO chunks (trace, content) VALUES (?, ?)").expect("a statement");
        for (id, chunk) in ids.iter().zip(bytes.chunks(CHUNK)) {
            insert.execute((&id[..], chunk)).expect("a row");
        }
        db.execute_batch("COMMIT").expect("commit");
    })
}

/// Each commit waits for the disk: without that, redb loses it with the process.
fn redb(folder: &Path) -> Box<dyn FnMut(u64, &[[u8; 16]], &[u8])> {
    const CHUNKS: TableDefinition<(&[u8], u64), &[u8]> = TableDefinition::new("chunks");
    let db = Database::create(folder.join("db")).expect("a database");
    Box::new(move |group, ids, bytes| {
        let tx = db.begin_write().expect("begin");
        let mut table = tx.open_table(CHUNKS).expect("a table");
        for (id, chunk) in ids.iter().zip(bytes.chunks(CHUNK)) {
            table.insert((&id[..], group), chunk).expect("a row");
        }
        drop(table);
        tx.commit().expect("commit");
    })
}

/// A batch is in the kernel once it is committed.
fn fjall(folder: &Path) -> Box<dyn FnMut(u64, &[[u8; 16]], &[u8])> {
    let db = fjall::Database::builder(folder).open().expect("a database");
    let options =
        || fjall::KeyspaceCreateOptions::default().with_kv_separation(Some(fjall::KvSeparationOptions::default()));
    let chunks = db.keyspace("chunks", options).expect("a keyspace");
    Box::new(move |group, ids, bytes| {
        let mut batch = db.batch();
        for (id, chunk) in ids.iter().zip(bytes.chunks(CHUNK)) {
            batch.insert(&chunks, [&id[..], &group.to_be_bytes()].concat(), chunk);
        }
        batch.commit().expect("commit");
        db.persist(fjall::PersistMode::Buffer).expect("persist");
    })
}

/// Files of 16 MiB, each ended by a sorted index; what the viewer does, without its retention.
fn append(folder: &Path) -> Box<dyn FnMut(u64, &[[u8; 16]], &[u8])> {
    let folder = folder.to_owned();
    let (mut number, mut entries, mut end) = (0, Vec::new(), 0);
    let open = |folder: &Path, number: u32| fs::File::create(folder.join(number.to_string())).expect("a file");
    let mut file = open(&folder, 0);
    Box::new(move |_, ids, bytes| {
        let sums = ids.iter().zip(bytes.chunks(CHUNK));
        for (id, chunk) in sums {
            let mut crc = flate2::Crc::new();
            crc.update(chunk);
            entries.push((*id, end, crc.sum(), [0_u8; 28]));
            end += chunk.len() as u64;
        }
        file.write_all(bytes).expect("a write");
        if end > 16 << 20 {
            entries.sort_unstable();
            let index: Vec<u8> = entries
                .drain(..)
                .flat_map(|(id, at, sum, facts)| [&id[..], &u64::to_be_bytes(at), &sum.to_be_bytes(), &facts].concat())
                .collect();
            file.write_all_at(&index, end).expect("an index");
            number += 1;
            end = 0;
            file = open(&folder, number);
        }
    })
}
