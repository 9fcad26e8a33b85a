"""Decided cases in, cases with the reasoning that led to their ruling out: Tag2CoT and CoT2Tag of KuaiMod."""
