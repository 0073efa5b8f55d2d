"""The other side of the line: simulated callers, load, measurement.

The lab imports wire, audio and journal only, so that it cannot share a mistake with the service; speech engines are
handed to it.
"""
