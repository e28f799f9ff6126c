"""Exercises: files that a learner changes until their program sees what it should."""

from ebpf_tour.frame.exercises.record import Exercise, Seen, exercises, in_child

__all__ = ["Exercise", "Seen", "exercises", "in_child"]
