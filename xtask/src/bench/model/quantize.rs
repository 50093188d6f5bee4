//! The ggml block formats of the smoke model, encoded like `quantize_row_q4_0_ref` and
//! `quantize_row_q8_0_ref` of ggml-quants.c.
//!
//! Pure: no I/O, no clock.

/// Number of values that share one scale.
pub const BLOCK: usize = 32;

/// The format of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Quantization {
    #[value(name = "q4_0", alias = "q4-0")]
    Q4_0,
    #[value(name = "q8_0", alias = "q8-0")]
    Q8_0,
    F16,
}

/// The names and sizes of a quantization.
pub struct Format {
    /// Name in llama.cpp's tools, in lower case.
    pub name: &'static str,
    /// `enum ggml_type`.
    pub ggml_type: u32,
    /// `enum llama_ftype`, the value of `general.file_type`.
    pub file_type: u32,
    /// Size of [`BLOCK`] values.
    pub block_bytes: usize,
}

impl Quantization {
    pub fn format(self) -> Format {
        let (name, ggml_type, file_type, block_bytes) = match self {
            Self::Q4_0 => ("q4_0", 2, 2, 2 + BLOCK / 2),
            Self::Q8_0 => ("q8_0", 8, 7, 2 + BLOCK),
            Self::F16 => ("f16", 1, 1, 2 * BLOCK),
        };
        Format { name, ggml_type, file_type, block_bytes }
    }

    /// Appends one block to `out`.
    pub fn encode(self, values: &[f32; BLOCK], out: &mut Vec<u8>) {
        match self {
            Self::Q4_0 => encode_q4_0(values, out),
            Self::Q8_0 => encode_q8_0(values, out),
            Self::F16 => out.extend(values.iter().flat_map(|value| f16_bits(*value).to_le_bytes())),
        }
    }
}

/// Encodes a block with a scale that maps the value farthest from zero to -8. Byte `j` has value
/// `j` in its low half and value `j + 16` in its high half.
fn encode_q4_0(values: &[f32; BLOCK], out: &mut Vec<u8>) {
    let mut farthest = 0.0_f32;
    for value in values {
        if value.abs() > farthest.abs() {
            farthest = *value;
        }
    }
    let scale = farthest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut block = [0; 2 + BLOCK / 2];
    block[..2].copy_from_slice(&f16_bits(scale).to_le_bytes());
    for j in 0..BLOCK / 2 {
        block[2 + j] = nibble(values[j] * inverse) | (nibble(values[j + BLOCK / 2] * inverse) << 4);
    }
    out.extend_from_slice(&block);
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "-8..=8, shifted")]
fn nibble(scaled: f32) -> u8 {
    ((scaled + 8.5) as u8).min(15)
}

fn encode_q8_0(values: &[f32; BLOCK], out: &mut Vec<u8>) {
    let mut farthest = 0.0_f32;
    for value in values {
        if value.abs() > farthest {
            farthest = value.abs();
        }
    }
    let scale = farthest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut block = [0; 2 + BLOCK];
    block[..2].copy_from_slice(&f16_bits(scale).to_le_bytes());
    for (byte, value) in block[2..].iter_mut().zip(values) {
        *byte = rounded(value * inverse).to_le_bytes()[0];
    }
    out.extend_from_slice(&block);
}

/// Rounds a small number like C's `roundf`, halves away from zero. Without SSE4.1, `f32::round` is a
/// call into libm, too slow for 30 million values.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "-127..=127")]
fn rounded(value: f32) -> i32 {
    let whole = value as i32;
    let rest = value - whole as f32;
    whole + i32::from(rest >= 0.5) - i32::from(rest <= -0.5)
}

/// Converts to IEEE 754 binary16, to the nearest, halves to even.
#[expect(clippy::cast_possible_truncation, reason = "each arm leaves 16 bits")]
pub fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let half = if magnitude > 0x7f80_0000 {
        0x7e00
    } else if magnitude >= 0x4780_0000 {
        0x7c00
    } else if magnitude >= 0x3880_0000 {
        // A carry of the mantissa increments the exponent, up to infinity.
        let odd = (magnitude >> 13) & 1;
        (magnitude - 0x3800_0000 + 0x0fff + odd) >> 13
    } else {
        // An f32 between 0.5 and 1 has steps of 2^-24, like a subnormal f16.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0x3f00_0000
    };
    (sign | half) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(quantization: Quantization, values: &[f32; BLOCK]) -> Vec<u8> {
        let mut out = vec![];
        quantization.encode(values, &mut out);
        assert_eq!(out.len(), quantization.format().block_bytes);
        out
    }

    #[test]
    fn half_precision_rounds_as_in_ieee_754() {
        for (value, bits) in [
            (0.0, 0x0000),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65519.996, 0x7bff),
            (65520.0, 0x7c00),
            (f32::INFINITY, 0x7c00),
            (f32::NEG_INFINITY, 0xfc00),
            (0.333_333_34, 0x3555),
            (1.0 + 1.0 / 2048.0, 0x3c00),
            (1.0 + 3.0 / 2048.0, 0x3c02),
            (2.0_f32.powi(-14), 0x0400),
            (2.0_f32.powi(-24), 0x0001),
            (2.0_f32.powi(-25), 0x0000),
            (3.0 * 2.0_f32.powi(-25), 0x0002),
            (1e-30, 0x0000),
        ] {
            assert_eq!(f16_bits(value), bits, "{value}");
        }
        assert_eq!(f16_bits(f32::NAN) & 0x7fff, 0x7e00);
    }

    #[test]
    #[expect(clippy::cast_precision_loss)]
    fn q4_0_has_the_layout_of_ggml() {
        // -16 is the farthest: d = 2, so value v becomes v / 2 + 8.
        let values: [f32; BLOCK] = std::array::from_fn(|i| i as f32 - 16.0);
        let block = encoded(Quantization::Q4_0, &values);
        assert_eq!(block[..2], f16_bits(2.0).to_le_bytes());
        // Byte j: low half value j, high half value j + 16; halves round up.
        assert_eq!(
            block[2..],
            [
                0x80, 0x91, 0x91, 0xa2, 0xa2, 0xb3, 0xb3, 0xc4, 0xc4, 0xd5, 0xd5, 0xe6, 0xe6, 0xf7,
                0xf7, 0xf8
            ]
        );
    }

    #[test]
    fn q4_0_of_a_positive_peak_has_a_negative_scale_and_clamps_the_far_side() {
        let mut values = [0.0; BLOCK];
        values[0] = 8.0;
        values[1] = -8.0;
        let block = encoded(Quantization::Q4_0, &values);
        assert_eq!(block[..2], f16_bits(-1.0).to_le_bytes());
        assert_eq!(block[2..4], [0x80, 0x8f]);
    }

    #[test]
    #[expect(clippy::cast_precision_loss)]
    fn q8_0_scales_the_peak_to_127() {
        let values: [f32; BLOCK] = std::array::from_fn(|i| (i as f32 - 15.0) * 127.0 / 16.0);
        let block = encoded(Quantization::Q8_0, &values);
        assert_eq!(block[..2], f16_bits(1.0).to_le_bytes());
        let signed: Vec<i8> = block[2..].iter().map(|b| i8::from_le_bytes([*b])).collect();
        assert_eq!(signed[0], -119);
        assert_eq!(signed[15], 0);
        assert_eq!(signed[31], 127);
        // 7.9375 and the half 63.5
        assert_eq!((signed[16], signed[23], signed[7]), (8, 64, -64));
    }

    #[test]
    fn a_block_of_zeros_has_scale_zero() {
        assert_eq!(encoded(Quantization::Q8_0, &[0.0; BLOCK]), [0; 34]);
        let q4 = encoded(Quantization::Q4_0, &[0.0; BLOCK]);
        assert_eq!(q4[..2], f16_bits(-0.0).to_le_bytes());
        assert_eq!(q4[2..], [0x88; 16]);
    }

    #[test]
    fn rounding_is_like_in_c() {
        for value in [0.5, -0.5, 0.499_999_97, 1.5, 2.5, -126.5, 126.499_99, 0.0] {
            assert_eq!(rounded(value), value.round() as i32, "{value}");
        }
    }
}
