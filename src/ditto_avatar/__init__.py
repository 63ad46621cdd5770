"""Ditto Avatar: a talking face that answers in real time."""
