# SPDX-License-Identifier: Apache-2.0
"""What the documentation of every module here says alike."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts by name: `millrace` for all modules, `millrace.diff` for those that show a difference.

    A module that says more of an attribute says it itself, and that counts.
    """

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: What would be changed is said, and nothing is changed.
    support: full
author:
  - Millrace
"""

    DIFF = r"""
attributes:
  diff_mode:
    description: What is changed is shown, as it was and as it is.
    support: full
"""
