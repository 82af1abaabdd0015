"""A stand-in for a packaged Unreal binary: Unreal's command line, libwebrtc, the C++ bridge core, and test cards.

It shares no code with the package `torchmultiverse`, so that the Python client meets a stranger: signalling, peers and
pictures are written here, WebRTC is `wrtc`, and requests are understood by the bridge core alone.
"""
