# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: python -m lab up|status|break|heal|save|load|ssh|down|list|prepare."""

from __future__ import annotations

import argparse
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

from lab import faketime, faults, saved, spoil
from lab.harvester import crds
from lab.labs import Lab, labs, prepare
from lab.objects import write_objects, write_workloads
from lab.official import OFFICIAL
from lab.progress import LabError, say
from lab.spec import Spec

_FAULTS = {**faults.FAULTS, **spoil.SPOILERS}


def _parser() -> argparse.ArgumentParser:
    # First line of each docstring.
    listing = "\n".join(f"  {name:18} {(inspect.getdoc(function) or '').partition(chr(10))[0]}"
                        for name, function in _FAULTS.items())
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, epilog: str | None = None) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, epilog=epilog,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
        if name not in ("list", "prepare"):
            sub.add_argument("--name", default="lab", help="name of the lab (default: lab)")
        return sub

    for name, text in (("up", "make a lab and start its cluster"), ("prepare", "build what labs are made from")):
        sub = command(name, text)
        sub.add_argument("--etcd", choices=["3.6", "3.5"], default="3.6")
        sub.add_argument("--relaxed", action="store_true", help="hosts with root login, sftp and tunnels")
    up = commands.choices["up"]
    up.add_argument("--distro", choices=["k3s", "rke2"], default="rke2")
    up.add_argument("--servers", type=int, default=3)
    up.add_argument("--agents", type=int, default=1)
    up.add_argument("--binary", type=_program, metavar="FILE|official",
                    help="real rke2 or k3s, not the stand-in; `official` downloads a pinned release and its images")
    up.add_argument("--images", type=_path, metavar="DIR", help="its air-gap images")
    up.add_argument("--pace", action="store_true", help="the stand-in waits as long as the real program")
    up.add_argument("--disk", type=int, default=0, metavar="MB", help="own disk for each host's data (for fill_disk)")
    up.add_argument("--objects", type=int, default=0, metavar="N", help="write N objects and one workload per host")
    command("status", "show hosts, nodes and members")
    broken = command("break", "break something", "faults:\n" + listing)
    broken.add_argument("fault", choices=list(_FAULTS), metavar="FAULT")
    broken.add_argument("host", metavar="HOST")
    broken.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="e.g. peers of partition, process of kill")
    healed = command("heal", "undo partition, slow_line, fill_disk, wrong_token and skew_clock")
    healed.add_argument("host", metavar="HOST")
    for name, text in (("save", "keep the whole lab as it is now"), ("load", "put a lab back as it was saved")):
        command(name, text).add_argument("state", nargs="?", default="saved", help="name of what is kept (saved)")
    ssh = command("ssh", "log in on a host, or run a command there")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("remote", nargs=argparse.REMAINDER, metavar="COMMAND")
    command("down", "remove a lab and everything that it made")
    command("list", "list the labs of this machine")
    return parser


def _path(value: str) -> str:
    path = Path(value).resolve()
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{value} does not exist")
    return str(path)


def _program(value: str) -> str:
    return value if value == OFFICIAL else _path(value)


def _up(args: argparse.Namespace) -> None:
    lab = Lab(args.name, args.distro, args.servers, args.agents, etcd=args.etcd, strict=not args.relaxed,
              pace=args.pace, binary=args.binary or "", images=args.images or "", disk_mb=args.disk)
    try:
        lab.up()
        if args.objects:
            write_objects(lab, args.objects)
            write_workloads(lab)
    except (LabError, KeyboardInterrupt):
        if lab.folder.exists():
            say(f"what was made is still there; look at it, then: python -m lab down --name {lab.name}")
        raise
    print(lab.status())
    print(textwrap.dedent(f"""\
        log in:    python -m lab ssh --name {lab.name} {lab.servers[0]}
        break it:  python -m lab break --name {lab.name} power_off {lab.servers[-1]}
        take down: python -m lab down --name {lab.name}"""))


def _run(args: argparse.Namespace) -> int:
    if args.command == "up":
        _up(args)
    elif args.command == "prepare":
        prepare(Spec("prepare", etcd=args.etcd, strict=not args.relaxed))
        faketime.library()
        crds.of_capi()
    elif args.command == "list":
        print("\n".join(labs()) or "no labs")
    elif args.command == "down":
        if args.name not in labs():
            raise LabError(f"there is no lab {args.name!r}")
        Lab(args.name).down()
    else:
        return _use(Lab.load(args.name), args)
    return 0


def _use(lab: Lab, args: argparse.Namespace) -> int:
    if args.command == "status":
        print(lab.status())
    elif args.command == "ssh":
        return subprocess.run([*lab.ssh_command(args.host), *args.remote], check=False).returncode
    elif args.command == "heal":
        faults.heal(lab, args.host)
    elif args.command == "save":
        saved.save(lab, args.state)
    elif args.command == "load":
        saved.put_back(lab, args.state)
    else:
        function = _FAULTS[args.fault]
        try:
            call = inspect.signature(function).bind(lab, args.host, *args.arguments)
        except TypeError as error:
            raise LabError(f"{args.fault}: {error}") from None
        lab.spec.host(args.host)
        function(*call.args)
    return 0


def main() -> int:
    """Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted."""
    args = _parser().parse_args()
    try:
        return _run(args)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
