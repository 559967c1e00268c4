//! Placeholder
mod changes;
mod signal;
