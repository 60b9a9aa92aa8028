"""The command line: one short function per command. Reads options, calls one workflow, shows it."""

from __future__ import annotations

from curate.cli import (
    auditing,
    gating,
    handing,
    inbox,
    judging,
    keeping,
    measuring,
    networks,
    options,
)
from curate.cli.app import main

__all__ = [
    "auditing",
    "gating",
    "handing",
    "inbox",
    "judging",
    "keeping",
    "main",
    "measuring",
    "networks",
    "options",
]
