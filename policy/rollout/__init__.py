"""A release that passed the gate in; shadow, canary, live, or a halt with its reason out."""
