//! What the fleet is and what tools said of it, as values. Nothing here starts
//! a process, opens a file, reads a clock or writes to a terminal.

pub mod gguf;
pub mod names;
pub mod quantize;
pub mod smoke_model;
