"""The control plane: launches that outlive the server, the HTTP API and the page over them, and the registry of nodes."""
