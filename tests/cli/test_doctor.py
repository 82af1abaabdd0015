import pytest

from torchmultiverse.cli.doctor import Check, Examination, examine


def test_this_machine_is_examined() -> None:
    report = examine()
    assert report.healthy
    checks = {check.subject: check for check in report.checks}
    assert checks["Python"].state in {"ok", "note"}
    assert checks["renderer"].detail.split()[0] in {"cuda_ad_rgb", "llvm_ad_rgb", "scalar_rgb"}
    assert checks["renderer"].detail in report.line()


def test_the_webrtc_stack_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> Check:
        return next(check for check in examine().checks if check.subject == "WebRTC")

    monkeypatch.setenv("TORCHMULTIVERSE_WEBRTC", "aiortc")
    assert said().detail == "aiortc, as TORCHMULTIVERSE_WEBRTC=aiortc asks"
    monkeypatch.setenv("TORCHMULTIVERSE_WEBRTC", "aiort")
    assert said().state == "note"
    assert "Did you mean 'aiortc'" in said().detail


def test_something_broken_is_said_in_one_line() -> None:
    report = Examination([Check("renderer", "broken", "no variant works")])
    assert not report.healthy
    assert report.line().endswith("broken: renderer")
