"""What AWS takes and answers, as the models say that its client library is made from."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator


def checked(service: str, operation: str, given: dict[str, Any], answer: Any) -> Any:
    """The answer, if the service takes what it is given, and its answers may be like this."""
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name): name for name in model.operation_names}
    found = model.operation_model(names[operation])
    for shape, value in ((found.input_shape, given), (found.output_shape, answer)):
        if shape is not None:
            report = ParamValidator().validate(value or {}, shape)
            assert not report.has_errors(), f"{operation}: {report.generate_report()}"
    return answer


def as_in(service: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Check what a method, named as the client's, is given and answers."""

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def called(self: Any, **given: Any) -> Any:
            return checked(service, method.__name__, given, method(self, **given))

        return called

    return mark
