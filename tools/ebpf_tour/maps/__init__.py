"""The lessons on map types, a module each. Their C is in bpf/maps."""
