"""HTTP: bodies, routes, the server."""
