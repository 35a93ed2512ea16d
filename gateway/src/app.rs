//! Assembly, in order; the only file that knows everything.
