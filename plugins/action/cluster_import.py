# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/cluster_import.py for the documentation."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _export, _import, _yaml
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter, _importer, _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

JSON = dict[str, t.Any]
IMAGE = 1800.0
"""Seconds for an image to be fetched, `requorum_timeouts.image`."""
WITHHELD = "(a secret)\n"


class ActionModule(NodeAction):
    """Put virtual machines of an export back, halted, with what they need."""

    VALID = ("export", "vms", "passphrase_file")

    def act(self) -> JSON:
        args = self._task.args
        phrase = str(args.get("passphrase_file") or "")
        source = _importer.Stored(str(args["export"]), _exporter.locked_by(phrase) if phrase else None)
        self.api = _node_api.of(self)
        self.living = _importer.Living(self.api)
        self.seconds = float((self.settings.get("requorum_timeouts") or {}).get("image", IMAGE))
        names = args["vms"].split(",") if isinstance(args["vms"], str) else list(args["vms"])
        wanted = _import.chosen(names, source)
        plan = _import.make(wanted, source, self.living.get, seconds=self.seconds)
        missing = {action["kind"] for action in plan.actions if not self.living.served(action["kind"])}
        plan.refusals += [f"This cluster does not serve {kind}: install what does first." for kind in sorted(missing)]
        if names == ["all"] and _import.MACHINES in source.left_out:
            plan.notes.append(f"The export has left virtual machines out: {source.left_out[_import.MACHINES]}")
        self._show(plan)
        shown = {"differences": plan.differences, "refusals": plan.refusals, "notes": plan.notes}
        if plan.refusals:
            hint = "Nothing was created."
            return {"failed": True, "msg": " ".join([*plan.refusals, hint]), "requorum_actions": [], **shown}
        if self._task.check_mode:
            return self._result(plan, plan.actions) | shown
        done: list[JSON] = []
        try:
            for action in plan.actions:
                with self.acting(action["verb"], action["what"]):
                    self._do(action, plan)
                done.append(action)
        except RequorumError as error:
            return {"failed": True, "msg": str(error), **self._result(plan, done), **shown}
        return self._result(plan, done) | shown

    def _show(self, plan: _import.Plan) -> None:
        for action in plan.actions:
            place = "/".join(filter(None, (action["namespace"], action["name"])))
            self.say(f"{action['kind']} {place}: {action['what']}" + (f" ({action['why']})" if action["why"] else ""))
        for entry in plan.differences:
            place = "/".join(filter(None, (entry["namespace"], entry["name"])))
            paths = ", ".join(entry["paths"][:8])
            self.say(f"{entry['kind']} {place} is there and differs, so it is left alone: {paths}")
        for text in (*plan.notes, *plan.refusals):
            self.say(text)

    def _result(self, plan: _import.Plan, done: list[JSON]) -> JSON:
        result: JSON = {"changed": bool(done), "requorum_actions": done}
        if self._task.diff:
            refs = [_import.Ref(a["kind"], a["namespace"], a["name"]) for a in done if a["verb"] == "create"]
            texts = [(str(ref), self._text(ref, plan.bodies[ref])) for ref in refs]
            result["diff"] = [{"before": "", "after": text, "after_header": name} for name, text in texts]
        return result

    def _text(self, ref: _import.Ref, body: JSON) -> str:
        return WITHHELD if _export.secret(ref.kind, body) else _yaml.dump(body)

    def _do(self, action: JSON, plan: _import.Plan) -> None:
        ref = _import.Ref(action["kind"], action["namespace"], action["name"])
        if action["verb"] == "wait":
            self._await(ref)
            return
        body = plan.bodies[ref]
        if ref.kind == _import.CLAIMS and not body["spec"].get("volumeName") and (image := _import.image_of(body)):
            body = _import.from_image(body, self._get(image))
        group, _slash, version = str(body["apiVersion"]).rpartition("/")
        asked = self.living.kind(ref.kind)
        self.api.create(_api.Kind(group, version, asked.plural, asked.namespaced), body)

    def _await(self, ref: _import.Ref) -> None:
        def ready() -> tuple[bool, str]:
            image = self._get(ref) or {}
            if why := _import.failed(image):
                raise RequorumError(f"{self.host}: {ref} is not imported: {why}.", "Mend its URL, then run it again.")
            progress = (image.get("status") or {}).get("progress")
            return _import.imported(image), f"{progress or 0} % fetched"

        hint = "Look at the image, then run the same command again: what was created stays."
        self.wait(f"{ref} is imported", ready, seconds=self.seconds, hint=hint)

    def _get(self, ref: _import.Ref) -> JSON | None:
        return self.api.get(self.living.kind(ref.kind), ref.name, ref.namespace)
