//! The smoke model: a small llama model with seeded random weights, generated without a download. Its
//! output is meaningless, but it uses the same kernels and block formats as a real model. The same
//! parameters give the same bytes.
//!
//! Pure: no I/O, no clock.

use std::io::{self, Write};

use crate::bench::model::gguf::{self, Tensor, Value};
use crate::bench::model::quantize::{BLOCK, Quantization};
use crate::statistics::random::SplitMix;

/// Part of the file name; increase it with every change of the bytes.
const VERSION: u32 = 2;
/// `enum ggml_type`'s F32.
const F32: u32 = 0;
/// Number of bytes that are encoded before they are written.
const CHUNK: usize = 1 << 16;

/// Number of parameters of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Size {
    #[value(name = "29m")]
    M29,
    #[value(name = "88m")]
    M88,
    /// More than half a gigabyte, larger than any cache.
    #[value(name = "1b")]
    B1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmokeModel {
    pub size: Size,
    pub quantization: Quantization,
}

/// Number of tokens of the vocabulary, for all sizes.
const VOCABULARY: u32 = 4096;

/// Dimensions of a model. Two query heads share one key-value head.
struct Shape {
    name: &'static str,
    width: u32,
    ffn: u32,
    layers: u32,
    heads: u32,
}

impl Size {
    fn shape(self) -> Shape {
        let (name, width, ffn, layers, heads) = match self {
            Self::M29 => ("29m", 512, 1536, 8, 8),
            Self::M88 => ("88m", 768, 2176, 12, 12),
            Self::B1 => ("1b", 2048, 5632, 22, 32),
        };
        Shape { name, width, ffn, layers, heads }
    }
}

impl SmokeModel {
    /// Returns the name, for example `smoke-29m`.
    pub fn name(self) -> String {
        format!("smoke-{}", self.size.shape().name)
    }

    /// Returns the file name; the same name means the same bytes.
    pub fn file_name(self) -> String {
        format!("{}-{}-v{VERSION}.gguf", self.name(), self.quantization.format().name)
    }

    pub fn parameters(self) -> u64 {
        self.tensors().iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum()
    }

    /// Returns the size of the file.
    pub fn bytes(self) -> u64 {
        let tensors = self.tensors();
        let data: u64 = tensors.iter().map(|t| t.bytes + gguf::padding(t.bytes)).sum();
        gguf::head(&self.metadata(), &tensors).len() as u64 + data
    }

    /// Writes the whole file in chunks.
    pub fn write_to(self, out: &mut dyn Write) -> io::Result<()> {
        let tensors = self.tensors();
        out.write_all(&gguf::head(&self.metadata(), &tensors))?;
        for (index, tensor) in tensors.iter().enumerate() {
            if tensor.kind == F32 {
                // The norms are ones.
                for _ in 0..tensor.bytes / 4 {
                    out.write_all(&1.0_f32.to_le_bytes())?;
                }
            } else {
                self.write_weights(tensor, index as u64, out)?;
            }
            gguf::pad(out, tensor.bytes)?;
        }
        Ok(())
    }

    fn write_weights(self, tensor: &Tensor, seed: u64, out: &mut dyn Write) -> io::Result<()> {
        let mut random = SplitMix(seed << 32);
        let spread = spread(tensor.shape[0]);
        let mut chunk = Vec::with_capacity(CHUNK + self.quantization.format().block_bytes);
        let mut values = [0.0; BLOCK];
        for _ in 0..tensor.shape.iter().product::<u64>() / BLOCK as u64 {
            fill(&mut random, &mut values, spread);
            self.quantization.encode(&values, &mut chunk);
            if chunk.len() >= CHUNK {
                out.write_all(&chunk)?;
                chunk.clear();
            }
        }
        out.write_all(&chunk)
    }

    fn metadata(self) -> Vec<(String, Value)> {
        let shape = self.size.shape();
        let number = |key: &str, value| (format!("llama.{key}"), Value::U32(value));
        let text = |key: &str, value: &str| (key.to_owned(), Value::Text(value.to_owned()));
        let words = vocabulary(VOCABULARY);
        vec![
            text("general.architecture", "llama"),
            text("general.name", &self.name()),
            ("general.file_type".into(), Value::U32(self.quantization.format().file_type)),
            ("general.quantization_version".into(), Value::U32(2)),
            number("vocab_size", VOCABULARY),
            number("context_length", 4096),
            number("embedding_length", shape.width),
            number("block_count", shape.layers),
            number("feed_forward_length", shape.ffn),
            number("attention.head_count", shape.heads),
            number("attention.head_count_kv", shape.heads / 2),
            ("llama.attention.layer_norm_rms_epsilon".into(), Value::F32(1e-5)),
            number("rope.dimension_count", shape.width / shape.heads),
            // llama-bench uses random tokens, but llama-perplexity tokenizes a text.
            text("tokenizer.ggml.model", "llama"),
            (
                "tokenizer.ggml.scores".into(),
                // The tokenizer prefers the merge with the higher score.
                Value::F32s((0..words.len()).map(|index| -(index as f32)).collect()),
            ),
            (
                "tokenizer.ggml.token_type".into(),
                Value::I32s(words.iter().map(|(_, kind)| *kind as i32).collect()),
            ),
            (
                "tokenizer.ggml.tokens".into(),
                Value::Texts(words.into_iter().map(|(word, _)| word).collect()),
            ),
        ]
    }

    fn tensors(self) -> Vec<Tensor> {
        let shape = self.size.shape();
        let (width, ffn) = (u64::from(shape.width), u64::from(shape.ffn));
        let (vocabulary, width_kv) = (u64::from(VOCABULARY), width / 2);
        let mut tensors = vec![
            self.weights("token_embd", width, vocabulary),
            norm("output_norm", width),
            self.weights("output", width, vocabulary),
        ];
        for layer in 0..shape.layers {
            let name = |part: &str| format!("blk.{layer}.{part}");
            tensors.extend([
                norm(&name("attn_norm"), width),
                self.weights(&name("attn_q"), width, width),
                self.weights(&name("attn_k"), width, width_kv),
                self.weights(&name("attn_v"), width, width_kv),
                self.weights(&name("attn_output"), width, width),
                norm(&name("ffn_norm"), width),
                self.weights(&name("ffn_gate"), width, ffn),
                self.weights(&name("ffn_up"), width, ffn),
                self.weights(&name("ffn_down"), ffn, width),
            ]);
        }
        tensors
    }

    fn weights(self, name: &str, row: u64, rows: u64) -> Tensor {
        Tensor {
            name: format!("{name}.weight"),
            shape: vec![row, rows],
            kind: self.quantization.format().ggml_type,
            bytes: row * rows / BLOCK as u64 * self.quantization.format().block_bytes as u64,
        }
    }
}

/// `enum llama_token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    Byte = 6,
}

/// Returns a SentencePiece vocabulary that can encode any text: three special tokens, every byte, a
/// space, then a … z, aa … zz, aaa and so on.
fn vocabulary(size: u32) -> Vec<(String, TokenType)> {
    let special =
        [("<unk>", TokenType::Unknown), ("<s>", TokenType::Control), ("</s>", TokenType::Control)];
    let special = special.map(|(token, kind)| (token.to_owned(), kind));
    let bytes = (0..=255).map(|byte: u8| (format!("<0x{byte:02X}>"), TokenType::Byte));
    let words = (1_u32..).map(|mut number| {
        let mut word = vec![];
        while number > 0 {
            word.push(char::from(b'a' + ((number - 1) % 26) as u8));
            number = (number - 1) / 26;
        }
        (word.into_iter().rev().collect::<String>(), TokenType::Normal)
    });
    let space = std::iter::once(("\u{2581}".to_owned(), TokenType::Normal));
    special.into_iter().chain(bytes).chain(space).chain(words).take(size as usize).collect()
}

fn norm(name: &str, width: u64) -> Tensor {
    Tensor { name: format!("{name}.weight"), shape: vec![width], kind: F32, bytes: width * 4 }
}

/// Returns half the range of uniform weights for which a row's output is as large as its input, so
/// that activations stay finite through all layers.
#[expect(clippy::cast_precision_loss, reason = "row lengths are small")]
fn spread(row: u64) -> f32 {
    (3.0 / row as f32).sqrt()
}

/// Fills a block with uniform values in `-spread..spread`, four for each random number.
fn fill(random: &mut SplitMix, values: &mut [f32; BLOCK], spread: f32) {
    let unit = spread / 32768.0;
    for four in values.chunks_exact_mut(4) {
        let [a, b, c, d, e, f, g, h] = random.next().to_le_bytes();
        four[0] = f32::from(i16::from_le_bytes([a, b])) * unit;
        four[1] = f32::from(i16::from_le_bytes([c, d])) * unit;
        four[2] = f32::from(i16::from_le_bytes([e, f])) * unit;
        four[3] = f32::from(i16::from_le_bytes([g, h])) * unit;
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use super::*;
    use fnv::FnvHasher;

    const ALL: [Quantization; 3] = [Quantization::Q4_0, Quantization::Q8_0, Quantization::F16];

    /// Counts and hashes (FNV-1a) what is written, without storing it.
    #[derive(Default)]
    struct Digest(u64, FnvHasher);

    impl Write for Digest {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A model of any size needs no more memory than this.
            assert!(bytes.len() < 2 * CHUNK, "{} bytes at once", bytes.len());
            self.0 += bytes.len() as u64;
            self.1.write(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn digest(model: SmokeModel) -> Digest {
        let mut digest = Digest::default();
        model.write_to(&mut digest).unwrap();
        digest
    }

    #[test]
    fn models_have_the_number_of_parameters_of_their_names() {
        let parameters = |size| SmokeModel { size, quantization: Quantization::Q4_0 }.parameters();
        assert_eq!(parameters(Size::M29), 29_368_832);
        assert_eq!(parameters(Size::M88), 87_706_368);
        assert_eq!(parameters(Size::B1), 1_054_959_616);
    }

    #[test]
    fn the_computed_size_is_the_written_size() {
        for quantization in ALL {
            let model = SmokeModel { size: Size::M29, quantization };
            assert_eq!(digest(model).0, model.bytes(), "{quantization:?}");
        }
    }

    #[test]
    fn the_vocabulary_has_unique_tokens() {
        let words = vocabulary(4096);
        assert_eq!(words.len(), 4096);
        let mut names: Vec<_> = words.iter().map(|(word, _)| word.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 4096);
        let at = |index: usize| words[index].0.as_str();
        assert_eq!(
            [at(3 + 10), at(259), at(260), at(285), at(286)],
            ["<0x0A>", "\u{2581}", "a", "z", "aa"]
        );
    }

    /// Baselines were measured with these bytes: a change of them must increase VERSION.
    #[test]
    fn the_bytes_never_change() {
        let model = SmokeModel { size: Size::M29, quantization: Quantization::Q4_0 };
        assert_eq!(model.file_name(), "smoke-29m-q4_0-v2.gguf");
        assert_eq!(format!("{:016x}", digest(model).1.finish()), "d488498223a6f4dc");
    }
}
