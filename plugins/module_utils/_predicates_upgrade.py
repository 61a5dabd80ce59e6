# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Was an upgrade of Harvester begun anew in phase 4, does it stand still, and what runs on each node since?"""

from __future__ import annotations

from . import _jmes, _nudge, _releases, _stale
from ._found import JSON, Answer, Found, Predicate, Unknown
from ._going import Look, came_with, going, plan_secrets, seen_of
from ._orphans import condition, labels, name_of, notes, spec, status
from ._stale import LATEST, STATE

ANSWER_S = 600
"""So long after its job a hook has its answer; Harvester writes it within seconds."""
QUIET_S = 3600
"""So long nothing changed in an upgrade that stands still: the deadline of its own jobs in phase 2."""


def restarted(state: JSON) -> Answer:
    """It was begun anew in phase 4, as far as that can be proved."""
    look = going(state)
    if look is None:
        return
    older, hooks, ahead = list(look.former()), list(look.hooks()), list(look.ahead())
    reached = [words for reached, words in older if reached]
    proved = bool(hooks or (reached and not look.busy) or (ahead and (look.hooked or older)))
    if proved:
        evidence = [*(words for _reached, words in older), *(words for _node, words in (*hooks, *ahead))]
        yield Found(None, look.told({node for node, _words in (*hooks, *ahead)}), (_where(look), *evidence))
    elif look.fourth and look.left:
        for name in ("secrets", "nodes", "provisioning"):
            if name not in look.seen:
                why = (state.get("unread") or {}).get(f"objects.{name}") or f"{name} were not read"
                yield Unknown(None, f"{look.name} waits for {', '.join(look.left)}: {why}")


def maybe_restarted(state: JSON) -> Answer:
    """It stands still in phase 4 for a reason that is not known."""
    look = going(state)
    if look is None or not look.fourth or look.busy or look.paused or not look.left or any(
        isinstance(answer, Found) for answer in restarted(state)
    ):  # fmt: skip
        return
    hints = [words for _reached, words in look.former()] + [words for _node, words in look.ahead()]
    quiet = look.quiet
    if quiet is None and not hints:
        yield Unknown(None, f"{look.name} waits for {', '.join(look.left)}, and nobody knows for how long")
    elif hints or (quiet or 0) > QUIET_S:
        still = () if quiet is None else (f"nothing has changed for {quiet / 60:.0f} minutes",)
        missing = [
            f"not read: {name}" for name in ("secrets", "nodes", "provisioning", "jobs") if name not in look.seen
        ]
        yield Found(None, look.told(look.left), (_where(look), *still, *hints, *look.asked(), *missing))


def _where(look: Look) -> str:
    states = ", ".join(f"{node}: {word}" for node, word in sorted(look.states.items()))
    return f"Upgrade {look.name} to {look.version}: {labels(look.item).get(STATE) or 'under way'} ({states})"


def interrupted(state: JSON) -> Answer:
    """No upgrade goes on, but Rancher wants another RKE2 than some nodes have."""
    seen = seen_of(state)
    wanted = {str(spec(c)["kubernetesVersion"]) for c in seen["provisioning"] if name_of(c) == "local"}
    info = {name_of(node): status(node)["nodeInfo"] for node in seen["nodes"]}
    behind = [node for node, its in info.items() if wanted and its["kubeletVersion"] not in wanted]
    images = {its["osImage"] for its in info.values()}
    latest = _stale.upgrade(seen)
    if latest.going or not (behind or len(images) > 1):
        return
    evidence = [f"{node}: kubelet {its['kubeletVersion']}, {its['osImage']}" for node, its in sorted(info.items())]
    evidence.insert(
        0, f"Rancher wants RKE2 {', '.join(wanted)}; the latest Upgrade is {latest.name or 'gone'}, and has ended"
    )
    yield Found(None, {"name": latest.name, "nodes": sorted(behind) or sorted(info)}, tuple(evidence))


def under_way(state: JSON) -> Answer:
    """One that works: where it is."""
    look = going(state)
    stands = any(isinstance(answer, Found) for answer in (*restarted(state), *maybe_restarted(state)))
    if look and not stands and _stale.upgrade(look.seen).works:
        phases = (("ImageReady", "1, image"), ("RepoReady", "1, repository"), ("NodesPrepared", "2, images on nodes"),
                  ("SystemServicesUpgraded", "3, system services"))  # fmt: skip
        phase = next((word for kind, word in phases if condition(look.item, kind) != "True"), "4, nodes")
        yield Found(None, look.told() | {"phase": phase}, (_where(look),))


def gone(state: JSON) -> Answer:
    """Nodes that the upgrade waits for, and which are no more."""
    latest = _stale.upgrade(seen_of(state))
    for node in latest.waits_for if latest.going else ():
        yield Found(node, {"node": node, "name": latest.name})


def rke2_of_other_os(state: JSON) -> Answer:
    """Nodes whose kubelet is not the one that their OS came with."""
    look = going(state)
    passing = {node for node, word in look.states.items() if word in _stale.BUSY} if look else set()
    for node in seen_of(state)["nodes"]:
        info, (own, who) = status(node).get("nodeInfo") or {}, came_with(state, node)
        kubelet, image = str(info.get("kubeletVersion") or ""), str(info.get("osImage") or "")
        if (not own and image.startswith("Harvester")) or not kubelet:
            yield Unknown(name_of(node), f"which RKE2 {image or 'its OS'} came with is not known")
        elif own and not _releases.same(own, kubelet) and name_of(node) not in passing:
            yield Found(name_of(node), {"name": name_of(node), "kubelet": kubelet, "os": image, "own": own, "who": who})


def os_older(state: JSON) -> Answer:
    """Nodes with an older OS than others; not while an upgrade works."""
    seen = seen_of(state)
    if _stale.upgrade(seen).works:
        return
    images = {name_of(node): str((status(node).get("nodeInfo") or {}).get("osImage") or "") for node in seen["nodes"]}
    newest = max(images.values(), key=lambda image: _jmes.number(image) or 0, default="")
    for node, image in images.items():
        if image != newest:
            yield Found(node, {"name": node, "os": image, "newest": newest,
                               "others": sorted(n for n, i in images.items() if i == newest)})  # fmt: skip


def hop(state: JSON) -> Answer:
    """An upgrade from a release that is older than its ISO allows."""
    for item in seen_of(state)["upgrades"]:
        if labels(item).get(LATEST) != "true" or condition(item, "Completed") == "True":
            continue
        version, before = _releases.named(spec(item).get("version")), status(item).get("previousVersion")
        release, now = _releases.load().get(version), _jmes.number(before)
        if release and now is not None and now < (_jmes.number(release.oldest) or 0):
            told = {"name": name_of(item), "version": version, "before": before, "oldest": release.oldest}
            yield Found(None, told)


def unanswered(state: JSON) -> Answer:
    """Hooks of a drain whose job has succeeded for a while, and which nobody has answered."""
    look, now = going(state), _jmes.seconds(state.get("time"))
    if look is None or not look.fourth:
        return
    for node in look.states:
        for hook in _nudge.HOOKS:
            found, _why = _nudge.nudge(look, hook, node)
            at = _jmes.seconds(status(found.job).get("completionTime")) if found else None
            if found and at is not None and now is not None and now - at > ANSWER_S:
                evidence = (f"job {name_of(found.job)} succeeded; {found.secret}: {found.asked} has no answer",)
                yield Found(node, {"node": node, "hook": hook, "name": look.name, "secret": found.secret}, evidence)


def drain_failed(state: JSON) -> Answer:
    """What Rancher says of a drain that it cannot do."""
    look = going(state)
    if look is None or not look.fourth:
        return
    for node in look.states:
        for secret in plan_secrets(look.seen, node):
            if said := notes(secret).get("rke.cattle.io/drain-error"):
                yield Found(node, {"node": node, "name": look.name}, (f"{name_of(secret)}: {said}",))


NAMED: dict[str, Predicate] = {
    "upgrade_hook_unanswered": unanswered,
    "upgrade_drain_failed": drain_failed,
    "upgrade_restarted": restarted,
    "upgrade_maybe_restarted": maybe_restarted,
    "upgrade_interrupted": interrupted,
    "upgrade_under_way": under_way,
    "upgrade_waits_for_gone": gone,
    "rke2_of_other_os": rke2_of_other_os,
    "os_older": os_older,
    "upgrade_hop": hop,
}
