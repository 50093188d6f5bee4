//! GGUF version 3, the writing half: a head of key-values and tensor
//! descriptions, then the tensors' bytes, each at a multiple of [`ALIGNMENT`].
//!
//! Pure: no I/O, no clock.

use std::io::{self, Write};

/// `general.alignment`'s default.
pub const ALIGNMENT: u64 = 32;

/// A metadata value, of the types that are used here.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    U32(u32),
    F32(f32),
    Text(String),
    F32s(Vec<f32>),
    I32s(Vec<i32>),
    Texts(Vec<String>),
}

/// A tensor's description; its bytes follow the head, in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    /// The row length first.
    pub shape: Vec<u64>,
    /// `enum ggml_type`.
    pub kind: u32,
    pub bytes: u64,
}

/// Bytes of padding that provide `length` to a multiple of [`ALIGNMENT`].
pub fn padding(length: u64) -> u64 {
    length.next_multiple_of(ALIGNMENT) - length
}

/// Everything before the first tensor's bytes, padding included.
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

/// `kind`: the type of each value.
fn array<T>(kind: u32, values: &[T], encode: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend((values.len() as u64).to_le_bytes());
    bytes.extend(values.iter().flat_map(encode));
    bytes
}

/// The zeros that must follow a tensor of `bytes` bytes.
pub fn pad(out: &mut (impl Write + ?Sized), bytes: u64) -> io::Result<()> {
    let zeros = [0; ALIGNMENT as usize];
    out.write_all(&zeros[..usize::try_from(padding(bytes)).unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_what_the_format_says_byte_by_byte() {
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
