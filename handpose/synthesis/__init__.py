"""Rendered hands: a parametric mesh, poses, skin and light, backgrounds and occluders, streamed with exact labels."""

# Words in the place of a folder: hands rendered with our own mesh, or with LibHand's.
RENDER, LIBHAND = "render", "libhand"
