"""A real machine on this host: image, network, storage, machine."""
