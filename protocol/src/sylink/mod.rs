//! The communications file of a client.
