"""Statistics on aggregates: counts, means, variances and covariances of arms in, estimates and bounds out."""
