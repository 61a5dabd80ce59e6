# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum rotate-certs`: leaf certificates are made anew on one host after another, and CAs only when asked for."""

from __future__ import annotations

import argparse
from typing import Any

from . import inputs, turns
from .inputs import Usage
from .output import Result


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "judge every certificate; make leaves anew, one host after another, under the CAs that the datastore holds"
    made: argparse.ArgumentParser = commands.add_parser("rotate-certs", help=text, description=text, allow_abbrev=False)
    turns.add_options(made)
    made.add_argument("--days", metavar="N", type=inputs.count,
                      help="a leaf that ends within N days is due (30); with --ca a CA (365)")
    made.add_argument("--all", action="store_true", help="every leaf, due or not")
    made.add_argument("--ca", action="store_true", help="replace CAs that end soon by new ones that the old ones sign")
    made.add_argument("--empty-tls", action="store_true",
                      help="empty server/tls of the servers named by --only; the CAs are put back at once")
    made.set_defaults(run=rotate)


def rotate(arguments: argparse.Namespace) -> Result:
    """What is due, or everything; CAs; or what a runbook calls removing the TLS directory."""
    if arguments.empty_tls:
        if not arguments.only or arguments.all or arguments.days or arguments.ca:
            raise Usage("--empty-tls goes with --only HOST, and neither with --all, nor with --ca, nor with --days.")
        return turns.run("tls_remove", arguments, {})
    if arguments.ca:
        if arguments.only or arguments.all:
            raise Usage("--ca is for all hosts and for CAs that end soon: it goes neither with --only nor with --all.")
        return turns.run("rotate_ca", arguments, {"ca_days": arguments.days} if arguments.days else {})
    options = {"cert_days": arguments.days, "cert_all": arguments.all}
    return turns.run("rotate_certs", arguments, {name: value for name, value in options.items() if value})
