"""Templates of Argo, and the flat graph of steps that they expand into."""
