"""Voices as ONNX networks, run by ONNX Runtime in a process of their own.

    engine ──text──▶ family ──ids──▶ runner ──frames of protocol.py──▶ child ──▶ ONNX Runtime
           ◀─chunks─ sound.py ◀─samples, durations──

A family (Piper, Kokoro, Supertonic) knows what its networks take and give. Phonemes come from the
child processes of espeak-ng, and their times from the network's own durations.
"""
