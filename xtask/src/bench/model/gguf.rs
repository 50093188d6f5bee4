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
        text(&mut head, key);
        match value {
            Value::U32(number) => {
                head.extend(4_u32.to_le_bytes());
                head.extend(number.to_le_bytes());
            }
            Value::F32(number) => {
                head.extend(6_u32.to_le_bytes());
                head.extend(number.to_le_bytes());
            }
            Value::Text(value) => {
                head.extend(8_u32.to_le_bytes());
                text(&mut head, value);
            }
            Value::F32s(values) => {
                array(&mut head, 6, values.len());
                head.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Value::I32s(values) => {
                array(&mut head, 5, values.len());
                head.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Value::Texts(values) => {
                array(&mut head, 8, values.len());
                values.iter().for_each(|value| text(&mut head, value));
            }
        }
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        text(&mut head, &tensor.name);
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

fn text(head: &mut Vec<u8>, text: &str) {
    head.extend((text.len() as u64).to_le_bytes());
    head.extend(text.as_bytes());
}

/// What stands before an array's values, which are of the type `kind`.
fn array(head: &mut Vec<u8>, kind: u32, length: usize) {
    head.extend(9_u32.to_le_bytes());
    head.extend(kind.to_le_bytes());
    head.extend((length as u64).to_le_bytes());
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
