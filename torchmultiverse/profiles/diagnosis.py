"""Everything about a launch profile at once: the machine, and each instance started and asked for a picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from torchmultiverse.engines import Failure, RemoteEngine, RenderOptions
from torchmultiverse.errors import EngineError, TorchMultiverseError
from torchmultiverse.profiles.instances import ProfileProcess
from torchmultiverse.profiles.pictures import PICTURE_SIZE, picture_problem, sample_scene
from torchmultiverse.profiles.probes import Finding, probe
from torchmultiverse.profiles.profile import Profile

_MOST_AT_ONCE = 16


def diagnose(
    name: str, profile: Profile, *, start: bool = True, tell: Callable[[str], None] = lambda text: None
) -> list[Finding]:
    """Return what was found of a profile on this machine.

    Args:
        name: of the profile.
        profile: it.
        start: whether each instance is started and asked for a picture, all side by side as a run would.
        tell: called with what is being done.
    """
    tell("looking at this machine")
    findings = probe(profile)
    if not start:
        return findings
    if any(finding.state == "broken" and finding.subject == "script" for finding in findings):
        return findings
    numbers = range(profile.instances)
    tell(f"starting {len(numbers)} instances, {profile.start_timeout:g} s at most")
    with ThreadPoolExecutor(min(len(numbers), _MOST_AT_ONCE)) as pool:
        live = [
            finding for found in pool.map(lambda number: _instance(name, profile, number), numbers) for finding in found
        ]
    if _proven(live):  # what seemed to be in the way is not
        findings = [replace(one, state="note") if one.state == "broken" else one for one in findings]
    return [*findings, *live]


def _proven(live: list[Finding]) -> bool:
    return any(finding.state == "ok" for finding in live) and all(finding.state != "broken" for finding in live)


def _instance(name: str, profile: Profile, number: int) -> list[Finding]:
    """Start one instance, and say how far it came."""
    card = profile.adapter(number)
    subject = f"instance {number}" + ("" if card is None else f" on card {card}")
    try:
        stack = ProfileProcess(name, profile, instance=number, patience=0)
    except EngineError as error:
        return [Finding("note", subject, str(error))]
    found: list[Finding] = []
    with ExitStack() as running:
        running.callback(stack.stop)
        begun = time.monotonic()
        try:
            stack.start()
            found.append(Finding("ok", subject, f"runs, and registered within {time.monotonic() - begun:.1f} s"))
            client = RemoteEngine(stack.url, lost=stack.lost, **profile.client)
            running.callback(client.close)
            found += _answers(subject, client, profile)
        except TorchMultiverseError as error:
            found.append(Finding("broken", subject, str(error)))
            return found
        finally:
            known = {finding.detail for finding in found}
            found += [
                Finding("note", subject, f"it printed: {one.what}", one.advice_for(stack.profile_name))
                for one in stack.failures
                if not any(one.what in detail for detail in known)
            ]
        found.append(Finding("ok", subject, f"uses {stack.memory() / 2**20:.0f} MiB of the machine's memory"))
    return found


def _answers(subject: str, client: RemoteEngine, profile: Profile) -> list[Finding]:
    """Ask for a catalogue and a picture."""
    catalogue = client.catalogue()
    dialect = client.client.dialect
    if dialect == "pug" and profile.dialect == "auto":
        said = f"hello was not answered within {profile.hello_timeout:g} s: taken for the pug dialect"
        found = [
            Finding("note", subject, said, "--set dialect=pug saves the wait; --set hello_timeout=60 waits longer")
        ]
    else:
        found = [
            Finding("ok", subject, f"{catalogue.engine} {catalogue.version}, dialect {dialect}".replace(" ,", ","))
        ]
    begun = time.monotonic()
    (answer,) = client.render([sample_scene(catalogue)], RenderOptions(size=PICTURE_SIZE))
    if isinstance(answer, Failure):
        return [*found, Finding("broken", subject, f"no picture: {answer.reason}", _PICTURE)]
    if problem := picture_problem(answer.array()):
        return [*found, Finding("broken", subject, f"the picture: {problem}", _PICTURE)]
    height, width = answer.array().shape[:2]
    took = time.monotonic() - begun
    return [*found, Finding("ok", subject, f"a picture of {width} × {height} in {took:.2f} s, of more than one colour")]


_PICTURE = "see its log, the camera and the lights of the project, and whether it settles before it captures"
