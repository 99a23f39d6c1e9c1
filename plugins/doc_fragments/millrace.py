# SPDX-License-Identifier: Apache-2.0
"""Common parts of the modules' documentation."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts by name: `millrace` for all modules, `millrace.diff` for those that show a difference.

    A module may override the description of an attribute.
    """

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Reports what would be changed, and changes nothing.
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
