//! Stores the smoke model on disk, atomically and only once.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::bench::model::smoke::SmokeModel;
use crate::system::files::Staged;
use crate::system::interrupt::Interrupted;
use crate::system::{disk, interrupt};

/// Returns the model's file under `home`, after writing it if it is not complete.
///
/// # Errors
/// The disk is full, the folder cannot be written, or the user interrupted. No file remains.
pub fn smoke_model(home: &Path, model: SmokeModel) -> Result<PathBuf> {
    let file = home.join("models").join(model.file_name());
    if is_whole(&file, model.bytes()) {
        return Ok(file);
    }
    place(&file, model.bytes(), |out| model.write_to(out))?;
    Ok(file)
}

/// Whether the file is complete: by its size, and by its first bytes, because after a power failure
/// a file can have its size but no content.
pub fn is_whole(file: &Path, bytes: u64) -> bool {
    let read_magic = || -> io::Result<bool> {
        let mut magic = [0; 4];
        io::Read::read_exact(&mut File::open(file)?, &mut magic)?;
        Ok(&magic == b"GGUF")
    };
    file.metadata().is_ok_and(|meta| meta.len() == bytes) && read_magic().unwrap_or(false)
}

/// Writes `file` atomically, through a temporary file that is renamed.
fn place(
    file: &Path,
    bytes: u64,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let dir = file.parent().context("a model without a folder")?;
    disk::create(dir)?;
    let written = || -> io::Result<()> {
        let mut staged = Staged::new(file)?;
        let mut out = BufWriter::with_capacity(1 << 18, Interruptible(staged.as_file()));
        write(&mut out)?;
        out.flush()?;
        drop(out);
        staged.publish()
    };
    written().map_err(|error| explain(&error, file, bytes))
}

fn explain(error: &io::Error, file: &Path, bytes: u64) -> anyhow::Error {
    let megabytes = bytes.div_ceil(1_000_000);
    let file = file.display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => anyhow!(
            "the disk is full: the smoke model {file} needs {megabytes} MB; free some space, or \
             set LLAMAFLEET_HOME to a folder that has it"
        ),
        _ => anyhow!("cannot write the smoke model {file}: {error}"),
    }
}

/// A writer that fails once the user has interrupted.
struct Interruptible<'a>(&'a mut File);

impl Write for Interruptible<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if interrupt::requested() {
            // Not ErrorKind::Interrupted, which write_all would retry forever.
            return Err(io::Error::other(Interrupted));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::bench::model::quantize::Quantization;
    use crate::bench::model::smoke::Size;

    const MODEL: SmokeModel = SmokeModel { size: Size::M29, quantization: Quantization::Q4_0 };

    fn files(home: &Path) -> Vec<String> {
        let models = fs::read_dir(home.join("models")).unwrap();
        models.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_model_is_written_once_and_a_truncated_one_again() {
        let home = tempfile::tempdir().unwrap();
        let file = smoke_model(home.path(), MODEL).unwrap();
        let written = file.metadata().unwrap();
        assert_eq!(written.len(), MODEL.bytes());
        smoke_model(home.path(), MODEL).unwrap();
        assert_eq!(file.metadata().unwrap().modified().unwrap(), written.modified().unwrap());
        File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
        smoke_model(home.path(), MODEL).unwrap();
        assert_eq!(file.metadata().unwrap().len(), MODEL.bytes());
        assert_eq!(files(home.path()), ["smoke-29m-q4_0-v2.gguf"]);
    }

    /// Writes to /dev/full, which fails with "no space left on device".
    #[test]
    fn a_full_disk_is_reported_and_no_file_remains() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("models").join(MODEL.file_name());
        let error = place(&file, MODEL.bytes(), |out| {
            out.write_all(b"GGUF")?;
            MODEL.write_to(&mut File::options().write(true).open("/dev/full")?)
        })
        .unwrap_err();
        assert!(error.to_string().starts_with("the disk is full"), "{error}");
        assert!(error.to_string().contains("17 MB"), "{error}");
        assert_eq!(files(home.path()), [] as [&str; 0]);
    }
}
