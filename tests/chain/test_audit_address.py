"""The audit of a verifier by its address, behind a proxy or an account."""

import pytest

from apps.audit import audit_address
from chain.accounts import account_of
from tests.audits import named

pytestmark = [pytest.mark.plain, pytest.mark.slow]

ADDRESS, OTHER = (account_of(int(digits * 20, 16)) for digits in ("ad", "ae"))
MINIMAL = "363d3d373d3d3d363d73{}5af43d82803e903d91602b57fd5bf3"
SOLADY = "3d3d3d3d363d3d37363d73{}5af43d3d93803e602a57fd5bf3"


@pytest.mark.parametrize("proxy", [MINIMAL, SOLADY])
def test_proxy_is_followed(verifier, chain, proxy):
    chain.provider.set_code(ADDRESS, bytes.fromhex(proxy.format(verifier.address[2:])))
    chain.provider.set_code(OTHER, bytes.fromhex(proxy.format(ADDRESS[2:])))
    reports = list(audit_address(OTHER))
    assert [named(report) for report in reports] == [[], [], []]
    assert [report.subject.split(" at ")[0] for report in reports] == ["proxy", "proxy", "verifier"]
    assert reports[-1].facts["instances"] == 3


def test_proxy_of_itself_ends(chain):
    chain.provider.set_code(ADDRESS, bytes.fromhex(MINIMAL.format(ADDRESS[2:])))
    assert "strange-instructions" in named(list(audit_address(ADDRESS))[-1])


def test_account_that_lends_itself_code(verifier, chain):
    chain.provider.set_code(ADDRESS, bytes.fromhex("ef0100" + verifier.address[2:]))
    (report,) = audit_address(ADDRESS)
    assert named(report) == ["account"]
    assert report.facts["target"] == verifier.address
