//! A model file on a target: whether it exists, is readable, and is GGUF.

/// The state of a model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    Missing,
    Folder,
    Unreadable,
    File { bytes: u64, begins: Vec<u8> },
}

impl FileState {
    /// Parses a script's output: `missing`, `folder`, `unreadable`, or `file BYTES` with the first
    /// eight bytes in the format of `od -An -tx1`.
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

    /// Returns the size of a valid model.
    ///
    /// # Errors
    /// Why the file is not a model, as the end of a sentence.
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
            // llama.cpp reads versions 2 and 3. Version 1 has shorter numbers.
            Some([2 | 3, 0, 0, 0]) => Ok(*bytes),
            Some(version) => Err(format!(
                "has GGUF version {}, but llama.cpp reads 2 and 3",
                version.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
            )),
            None => Err("is not a GGUF file: it does not start with `GGUF`".to_owned()),
        }
    }
}
