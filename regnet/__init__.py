"""RegNet: from a picture of a hand to 2D heatmaps and relative 3D joints (Mueller et al. 2018, section 4)."""
