"""Lessons on maps: a program for each type, which the tool itself runs, step by step."""

from ebpf_tour.frame.maps.record import MapLesson, map_lessons
from ebpf_tour.frame.maps.steps import Steps

__all__ = ["MapLesson", "Steps", "map_lessons"]
