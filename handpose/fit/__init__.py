"""The kinematic hand fitted to what a network sees in a picture (Mueller et al. 2018, section 4)."""
