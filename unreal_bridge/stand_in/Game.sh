#!/bin/sh
# Starts the stand-in with the arguments of a packaged Unreal binary. PYTHON: an interpreter that has wrtc, websockets,
# numpy and Pillow.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
exec "${PYTHON:-python3}" -m stand_in "$@"
