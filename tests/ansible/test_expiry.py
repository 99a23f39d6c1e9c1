"""The status says when the first certificate expires, and what to do before that."""

from __future__ import annotations

import pytest
from tests.ansible.conftest import ROOT, load
from tests.ansible.test_certificates_due import Authority

expiry = load(ROOT / "plugins/filter/expiry.py")
ADVICE = ": ansible-playbook site.yml renews it"


@pytest.mark.parametrize(
    ("days", "end"),
    [(60.5, "in 60 days"), (29.5, f"in 29 days{ADVICE}"), (-1, f"that is past{ADVICE}")],
)
def test_the_first_of_all_counts(days: float, end: str) -> None:
    authority = Authority()
    pems = [authority.issue(common_name="a", days=n) for n in (80, days, 90)]
    line = expiry.first_expiry("\n".join(pems), 30)
    assert line.startswith("Certificates: the first expires on 20")
    assert line.endswith(f", {end}")


def test_without_certificates_nothing_is_said() -> None:
    assert expiry.first_expiry("", 30) == ""
