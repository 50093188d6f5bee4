//! The model of a measurement: a file, or generated with random weights.

pub mod bytes_per_token;
pub mod choice;
pub mod gguf;
pub mod quantize;
pub mod smoke;
pub mod smollm2;
pub mod store;
