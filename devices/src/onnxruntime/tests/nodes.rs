//! Graphs of a few nodes.
