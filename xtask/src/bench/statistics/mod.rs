//! Statistics: whether one build is faster than another, from few noisy samples.

pub mod bootstrap;
pub mod sequential;
