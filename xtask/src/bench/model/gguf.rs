//! Writes GGUF version 3: a header of key-value pairs and tensor descriptions, then the tensors'
//! bytes, each at a multiple of [`ALIGNMENT`].
//!
//! Pure: no I/O, no clock.

use std::io::{self, Write};

/// Default of `general.alignment`.
pub const ALIGNMENT: u64 = 32;

/// A metadata value, of the types that the smoke model uses.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    U32(u32),
    F32(f32),
    Text(String),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
    Texts(Vec<String>),
}

/// A tensor's description; the tensors' bytes follow the header in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    /// Starts with the row length.
    pub shape: Vec<u64>,
    /// `enum ggml_type`.
    pub kind: u32,
    pub bytes: u64,
}

/// Returns the number of bytes that pad `length` to a multiple of [`ALIGNMENT`].
pub fn padding(length: u64) -> u64 {
    length.next_multiple_of(ALIGNMENT) - length
}

/// Returns everything before the first tensor's bytes, including padding.
pub fn head(metadata: &[(String, Value)], tensors: &[Tensor]) -> Vec<u8> {
    let mut head = b"GGUF".to_vec();
    head.extend(3_u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        head.extend(text(key));
        let (kind, bytes) = match value {
            Value::U32(number) => (4_u32, number.to_le_bytes().to_vec()),
            Value::F32(number) => (6, number.to_le_bytes().to_vec()),
            Value::Text(value) => (8, text(value)),
            Value::F32s(values) => (9, array(6, values, |value| value.to_le_bytes().to_vec())),
            Value::I32s(values) => (9, array(5, values, |value| value.to_le_bytes().to_vec())),
            Value::Texts(values) => (9, array(8, values, |value| text(value))),
        };
        head.extend(kind.to_le_bytes());
        head.extend(bytes);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        head.extend(text(&tensor.name));
        head.extend((u32::try_from(tensor.shape.len()).unwrap_or(u32::MAX)).to_le_bytes());
        for length in &tensor.shape {
            head.extend(length.to_le_bytes());
        }
        head.extend(tensor.kind.to_le_bytes());
        head.extend(offset.to_le_bytes());
        offset += tensor.bytes + padding(tensor.bytes);
    }
    let length = head.len() as u64;
    head.extend(std::iter::repeat_n(0, usize::try_from(padding(length)).unwrap_or(0)));
    head
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// Encodes an array; `kind` is the type of its values.
fn array<T>(kind: u32, values: &[T], encode: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend((values.len() as u64).to_le_bytes());
    bytes.extend(values.iter().flat_map(encode));
    bytes
}

/// Writes the zeros that pad a tensor of `bytes` bytes.
pub fn pad(out: &mut dyn Write, bytes: u64) -> io::Result<()> {
    let zeros = [0; ALIGNMENT as usize];
    out.write_all(&zeros[..usize::try_from(padding(bytes)).unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_bytes_of_the_format() {
        let metadata =
            [("k".to_owned(), Value::U32(7)), ("t".to_owned(), Value::Text("ab".into()))];
        let tensor =
            |name: &str, bytes| Tensor { name: name.into(), shape: vec![32, 2], kind: 2, bytes };
        let head = head(&metadata, &[tensor("a", 36), tensor("b", 36)]);
        let mut expected = b"GGUF\x03\0\0\0".to_vec();
        expected.extend(b"\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0");
        expected.extend(b"\x01\0\0\0\0\0\0\0k\x04\0\0\0\x07\0\0\0");
        expected.extend(b"\x01\0\0\0\0\0\0\0t\x08\0\0\0\x02\0\0\0\0\0\0\0ab");
        for (name, offset) in [(b'a', 0), (b'b', 64)] {
            expected.extend(b"\x01\0\0\0\0\0\0\0");
            expected.push(name);
            expected.extend(b"\x02\0\0\0\x20\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0");
            expected.extend([offset, 0, 0, 0, 0, 0, 0, 0]);
        }
        expected.resize(expected.len().next_multiple_of(32), 0);
        assert_eq!(head, expected);
    }
}
