//! PURE. What the state looks like: `view` draws an [`crate::app::App`] into a frame and changes
//! nothing. [`text`] and [`words`] know no terminal and serve the command line as well.

pub mod text;
pub mod words;
