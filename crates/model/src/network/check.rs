//! What the parts of a network document must fit together in.
