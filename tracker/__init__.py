"""Track hands in videos, pictures and webcams: detector, crop following, RegNet, kinematic fit, filters and track files."""
