"""The streaming process: sockets in, durable messages out, and the sinks that follow them."""
