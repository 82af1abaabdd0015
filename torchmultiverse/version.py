"""The version of the package, said here alone: the build, the command line and manifests of datasets read it."""

__version__ = "0.1.0"
