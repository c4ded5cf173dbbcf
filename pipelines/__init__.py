"""The pipelines that come with Sluice: one package a data set, each found by its entry points."""
