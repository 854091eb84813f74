"""``python -m pyleaky``: what runs on this machine."""

from . import show_config

show_config()
