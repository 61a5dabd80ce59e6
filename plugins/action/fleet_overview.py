# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/fleet_overview.py for the documentation."""

from __future__ import annotations

import json
import os

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _overview,
    _overview_html,
    _overview_text,
    _prometheus,
)
from ansible_collections.requorum.cluster.plugins.plugin_utils import _rows
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, display, now

DAY = 86400


class ActionModule(NodeAction):
    """Make one overview of the rows that are there."""

    VALID = ("clusters", "refused", "output", "prometheus", "max_age")

    def act(self) -> JSON:
        args = self._task.args
        output = os.path.abspath(args["output"])
        folder, names = os.path.join(output, _rows.FOLDER), list(args["clusters"])
        age = float(args["max_age"] if args.get("max_age") not in (None, "") else DAY)
        document = _overview.overview(_rows.read(output, names), names, args.get("refused") or (), now(), age)
        samples = _prometheus.fleet(document)
        text = _overview_text.text(document, folder=folder)
        for name, content in (
            ("overview.json", json.dumps(document, indent=1) + "\n"),
            ("overview.html", _overview_html.render(document, folder)),
            ("overview.prom", samples),
            ("overview.txt", text),
        ):
            _rows.put(os.path.join(folder, name), content)
        if prometheus := args.get("prometheus"):
            _prometheus.write(os.path.expanduser(prometheus), samples)
        display.display(text)
        told = {"totals": document["totals"], "code": _overview.code(document)}
        unjudged = [f"{each['cluster']}: {each['sentence']}" for each in document["clusters"] if not each["report"]]
        if unjudged:
            hint = "Look at them in the inventory, or at the errors above, and run it again."
            said = f"{len(unjudged)} of {len(document['clusters'])} clusters were not judged. {' '.join(unjudged[:3])}"
            told |= {"failed": True, "msg": f"{said} {hint}"}
        return {"changed": False, "overview": os.path.join(folder, "overview.json"), **told}
