"""The ``kaa-epr`` command within this process, for what does not depend on one of its own: a second less."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest import mock

from kaa_epr.cli import main
from tests.support.command import PROGRAM, environment


def call(*arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> CompletedProcess[str]:
    """One command to its end, as ``tests.support.command.run`` has it; errors nobody expects are raised."""
    argv = [str(PROGRAM), *arguments]
    root = logging.getLogger()
    handlers = list(root.handlers)
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict("os.environ", environment(env), clear=True),
        mock.patch.object(sys, "argv", argv),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            root.handlers[:] = handlers
    return CompletedProcess(argv, status, out.getvalue(), err.getvalue())
