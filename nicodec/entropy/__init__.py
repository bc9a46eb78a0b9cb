"""Range coding on constriction: the three coders, the priors, and exact tables."""
