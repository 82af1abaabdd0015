"""What a representation knows: features of any layer, probes, geometry, memorization."""
