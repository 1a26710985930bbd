"""GeoConGAN: unpaired translation of rendered hands into realistic ones (Mueller et al. 2018, section 3.1)."""
