//! Computes how many bytes of a model each generated token reads, from the header of its GGUF file:
//! all weights except the unused rows of the token embeddings and the unused experts.
//!
//! Pure: no I/O, no clock.

use crate::bench::model::gguf::ALIGNMENT;

/// Bytes that contain the header of any model, with its vocabulary and tensor names.
pub const HEAD: u64 = 24 << 20;

/// Returns the bytes per token; `file_bytes` is the size of the whole file. None if the header is not
/// one of a model, is truncated, or belongs to one of several files.
pub fn bytes_per_token(head: &[u8], file_bytes: u64) -> Option<u64> {
    let mut reader = Reader { rest: head };
    if reader.take(4)? != b"GGUF" || !(2..=3).contains(&reader.u32()?) {
        return None;
    }
    let (tensors, values) = (reader.u64()?, reader.u64()?);
    let (mut experts, mut used, mut alignment) = (None, None, ALIGNMENT);
    for _ in 0..values {
        let key = reader.text()?;
        let kind = reader.u32()?;
        let number = reader.value(kind)?;
        match key {
            b"general.alignment" => alignment = number?,
            b"split.count" if number? > 1 => return None,
            _ if key.ends_with(b".expert_count") => experts = number,
            _ if key.ends_with(b".expert_used_count") => used = number,
            _ => {}
        }
    }
    let mut places = vec![];
    for _ in 0..tensors {
        let name = reader.text()?;
        for _ in 0..reader.u32()? {
            reader.u64()?;
        }
        reader.u32()?;
        places.push((reader.u64()?, name));
    }
    places.sort_unstable();
    let read = head.len().checked_sub(reader.rest.len())? as u64;
    let data = file_bytes.checked_sub(read.checked_next_multiple_of(alignment)?)?;
    // A model without it uses the token embeddings for the output too, and reads all of them.
    let has_output = places.iter().any(|(_, name)| *name == b"output.weight");
    let ends = places.iter().skip(1).map(|(place, _)| *place).chain([data]);
    let mut bytes = 0_u64;
    for ((start, name), end) in places.iter().zip(ends) {
        let size = end.checked_sub(*start)?;
        let read = if name.ends_with(b"token_embd.weight") && (has_output || *name != TABLE) {
            0
        } else if name.windows(5).any(|part| part == b"_exps") {
            size.checked_mul(used?)?.checked_div(experts?)?
        } else {
            size
        };
        bytes = bytes.checked_add(read)?;
    }
    (bytes > 0).then_some(bytes)
}

/// The token embeddings; others, such as per-layer embeddings, are never used for the output.
const TABLE: &[u8] = b"token_embd.weight";

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u64()?;
        self.take(length)
    }

    /// Reads a value of this type. The inner value is the number if it is an unsigned integer.
    #[expect(clippy::option_option, reason = "truncated, or not a number")]
    fn value(&mut self, kind: u32) -> Option<Option<u64>> {
        const TEXT: u32 = 8;
        const LIST: u32 = 9;
        let width = |kind| match kind {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            _ => None,
        };
        match kind {
            TEXT => self.text().map(|_| None),
            LIST => {
                let (kind, count) = (self.u32()?, self.u64()?);
                match kind {
                    TEXT => (0..count).try_for_each(|_| self.text().map(drop))?,
                    // llama.cpp rejects lists of lists too.
                    LIST => return None,
                    _ => drop(self.take(count.checked_mul(width(kind)?)?)?),
                }
                Some(None)
            }
            4 => Some(Some(self.u32()?.into())),
            10 => Some(Some(self.u64()?)),
            _ => self.take(width(kind)?).map(|_| None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::model::gguf::{Tensor, Value, head, padding};

    fn tensor(name: &str, bytes: u64) -> Tensor {
        Tensor { name: name.to_owned(), shape: vec![bytes / 4], kind: 0, bytes }
    }

    #[test]
    fn an_invalid_header_has_no_result() {
        let begin = |tensors: u64, values: u64| {
            [
                b"GGUF".to_vec(),
                3_u32.to_le_bytes().to_vec(),
                tensors.to_le_bytes().to_vec(),
                values.to_le_bytes().to_vec(),
            ]
            .concat()
        };
        // A list of lists of lists…, deeper than any stack.
        let list = [9_u32.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec()].concat();
        let key =
            [1_u64.to_le_bytes().to_vec(), b"k".to_vec(), 9_u32.to_le_bytes().to_vec()].concat();
        let nested = [begin(0, 1), key, list.repeat(500_000)].concat();
        assert_eq!(bytes_per_token(&nested, 1 << 30), None);
        assert_eq!(bytes_per_token(&begin(u64::MAX, u64::MAX), u64::MAX), None);
        let name = |key: &str| {
            (
                "llama.".to_owned() + key,
                Value::U32(if key == "expert_count" { 1 } else { u32::MAX }),
            )
        };
        let experts = [name("expert_count"), name("expert_used_count")];
        let tensors: Vec<Tensor> =
            (0..3).map(|at| tensor(&format!("{at}_exps"), 1 << 62)).collect();
        assert_eq!(bytes_per_token(&head(&experts, &tensors), u64::MAX), None);
    }

    fn of(metadata: &[(&str, Value)], tensors: &[Tensor]) -> Option<u64> {
        let metadata: Vec<_> =
            metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let head = head(&metadata, tensors);
        let data: u64 = tensors.iter().map(|it| it.bytes + padding(it.bytes)).sum();
        // Bytes after the header do not matter; a truncated header is invalid.
        let file = head.len() as u64 + data;
        let more = [&head[..], &[7; 100]].concat();
        assert_eq!(bytes_per_token(&more, file), bytes_per_token(&head, file));
        for cut in [0, 3, 20, head.len() / 2, head.len() - 40] {
            assert_eq!(bytes_per_token(&head[..cut], file), None, "{cut}");
        }
        bytes_per_token(&head, file)
    }

    #[test]
    fn token_embeddings_count_only_if_the_output_uses_them() {
        let texts = Value::Texts(vec!["<s>".to_owned(), "\r\n".to_owned()]);
        let words = [
            ("tokenizer.ggml.tokens", texts),
            ("tokenizer.ggml.scores", Value::F32s(vec![0.0, -1.0])),
            ("general.name", Value::Text("a".to_owned())),
            ("x.rope.freq_base", Value::F32(1e4)),
        ];
        let (table, weights) =
            (tensor("token_embd.weight", 640), tensor("blk.0.attn_q.weight", 96));
        let output = tensor("output.weight", 320);
        let per_layer = tensor("per_layer_token_embd.weight", 6400);
        assert_eq!(of(&words, &[table.clone(), weights.clone()]), Some(640 + 96));
        assert_eq!(of(&words, &[table.clone(), weights.clone(), output]), Some(96 + 320));
        assert_eq!(of(&[], &[per_layer, table, weights]), Some(640 + 96));
    }

    #[test]
    fn only_used_experts_count() {
        let tensors = [tensor("blk.0.ffn_up_exps.weight", 6400), tensor("blk.0.attn_q.weight", 64)];
        let counts =
            [("moe.expert_count", Value::U32(8)), ("moe.expert_used_count", Value::U32(2))];
        assert_eq!(of(&counts, &tensors), Some(1600 + 64));
        assert_eq!(of(&counts[..1], &tensors), None);
        let split = [("split.count", Value::U32(2))];
        assert_eq!(of(&split, &tensors[1..]), None);
    }
}
