"""The KuaiMod benchmark: unseen cases in, our row under the published ones out, with what the model did not see."""
