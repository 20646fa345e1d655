"""Checks an evidence bundle of Chancery by docs/spec/evidence-format.md and by nothing else."""
