"""Telemetry that goes nowhere."""
