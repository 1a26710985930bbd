"""Rendered hands: a parametric mesh, poses, skin and light, backgrounds and occluders, streamed with exact labels."""
