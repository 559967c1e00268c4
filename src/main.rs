//! The `porthole` program.

fn main() {}
