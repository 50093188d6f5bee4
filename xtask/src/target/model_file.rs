//! A model file on a target: whether it exists, can be read, and is GGUF.

/// A file that is to be a model, looked at from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    Missing,
    Folder,
    Unreadable,
    File { bytes: u64, begins: Vec<u8> },
}

impl FileState {
    /// What the shell prints: `missing`, `folder`, `unreadable`, or `file BYTES` and the first
    /// eight bytes as `od -An -tx1` prints them.
    pub fn parse(printed: &str) -> Option<Self> {
        let mut words = printed.split_whitespace();
        match words.next()? {
            "missing" => Some(Self::Missing),
            "folder" => Some(Self::Folder),
            "unreadable" => Some(Self::Unreadable),
            "file" => Some(Self::File {
                bytes: words.next()?.parse().ok()?,
                begins: words.map_while(|word| u8::from_str_radix(word, 16).ok()).collect(),
            }),
            _ => None,
        }
    }

    /// # Errors
    /// The end of a sentence: why this is no model.
    pub fn bytes_of_model(&self) -> Result<u64, String> {
        let Self::File { bytes, begins } = self else {
            return Err(match self {
                Self::Missing => "does not exist",
                Self::Folder => "is a folder",
                _ => "is not readable",
            }
            .to_owned());
        };
        if *bytes == 0 {
            return Err("is empty".to_owned());
        }
        match begins.strip_prefix(b"GGUF") {
            // Version 1 has shorter numbers; llama.cpp takes 2 and 3.
            Some([2 | 3, 0, 0, 0]) => Ok(*bytes),
            Some(version) => Err(format!(
                "has GGUF version {}, but llama.cpp reads 2 and 3",
                version.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
            )),
            None => Err("is not a GGUF file: it does not start with `GGUF`".to_owned()),
        }
    }
}
