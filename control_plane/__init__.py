"""The control plane: launches that outlive the server, the API and the page over them, the registry of nodes."""
