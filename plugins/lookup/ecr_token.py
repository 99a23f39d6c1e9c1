"""Ansible lookup: the password with which Docker logs in to ECR, for the next twelve hours.

millrace_registry_password: "{{ lookup('ecr_token', region='us-east-1') }}"
"""

from __future__ import annotations

import base64
from typing import Any

import boto3
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = r"""
name: ecr_token
short_description: Password with which Docker logs in to ECR
description:
  - The user is AWS. Each lookup requests a new password, which is valid for twelve hours.
options:
  region:
    description: Region of the registry.
    type: str
    required: true
author:
  - Millrace
"""


class LookupModule(LookupBase):
    """The lookup that Ansible runs by the name of this file."""

    def run(
        self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[str]:
        """Request a token; there are no terms."""
        del terms
        self.set_options(var_options=variables, direct=kwargs)
        try:
            client = boto3.client("ecr", region_name=self.get_option("region"))
            answer = client.get_authorization_token()["authorizationData"][0]
        except (BotoCoreError, ClientError) as error:
            raise AnsibleLookupError(f"ECR gave no token: {error}") from error
        return [base64.b64decode(answer["authorizationToken"]).decode().partition(":")[2]]
